//! What there is to do once a run is over.

use crate::demo::ending::quoted;
use archipel_protocol::ids::{Root, Round};
use std::path::Path;

/// What a member's node says when its run is over, and when it is started again after that.
pub(super) fn next_steps(dir: &Path, (round, root): (Round, Root)) -> String {
    let dir = quoted(dir);
    format!(
        "the run is over: its last state is {round}, root {root}\n\
         What to do now:\n\
         \x20 write the model    archipel checkpoint export --dir {dir} --out model\n\
         \x20 try it             archipel generate --checkpoint {dir} --prompt TEXT\n\
         \x20 let others finish  this node still serves the state to members that lack it\n\
         \x20 stop               Ctrl-C; started again, it says this and serves on\n\
         \x20 train further      found a new run, in new folders: archipel charter new"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_steps_are_commands_that_can_be_pasted() {
        let text = next_steps(Path::new("/srv/my site"), (Round(20), Root([7; 32])));
        assert!(text.contains("state is 20"), "{text}");
        assert!(
            text.contains("export --dir '/srv/my site' --out model"),
            "{text}"
        );
        assert!(
            text.lines().skip(1).all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }
}
