//! Who but its owner may read what tells of a site's data.

use super::Finding;
use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// The bits of a mode that let others in.
const OTHERS: u32 = 0o077;

/// Looks at folders, those that are there, and everything in them.
pub(super) fn finding(folders: &[PathBuf]) -> Finding {
    let mut open = Vec::new();
    for folder in folders {
        match first_open(folder) {
            Ok(None) => {}
            Ok(Some(found)) => open.push((folder, found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Finding::note("privacy", format!("{}: {error}", folder.display()));
            }
        }
    }
    let Some((_, (path, mode))) = open.first() else {
        return Finding::good("privacy", "data, states and training are the owner's alone");
    };
    let found = format!("{} has mode {mode:o}: others can read it", path.display());
    let folders: Vec<String> = open.iter().map(|(folder, _)| quoted(folder)).collect();
    Finding::note("privacy", found).advise(format!("chmod -R go= {}", folders.join(" ")))
}

/// The first thing that others may read, the folder itself before what it holds.
fn first_open(folder: &Path) -> io::Result<Option<(PathBuf, u32)>> {
    let mode = fs::metadata(folder)?.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Ok(Some((folder.to_owned(), mode)));
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let mode = entry.metadata()?.permissions().mode() & 0o777;
        if !entry.file_type()?.is_symlink() && mode & OTHERS != 0 {
            return Ok(Some((entry.path(), mode)));
        }
    }
    Ok(None)
}

fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    match text
        .chars()
        .all(|c| c.is_alphanumeric() || "/._-".contains(c))
    {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn what_others_may_read_is_named_with_the_command_that_closes_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
        };
        let (states, absent) = (dir.path().join("states"), dir.path().join("training"));
        fs::create_dir(&states).expect("ours");
        fs::write(states.join("x"), "").expect("ours");
        let look = || finding(&[states.clone(), absent.clone()]);
        set(&states, 0o700);
        set(&states.join("x"), 0o600);
        assert_eq!(look().verdict, Verdict::Good);

        set(&states.join("x"), 0o640);
        let open = look();
        assert_eq!(open.verdict, Verdict::Note);
        assert!(open.found.contains("states/x has mode 640"), "{open:?}");
        set(&states, 0o755);
        let open = look();
        assert!(open.found.contains("states has mode 755"), "{open:?}");
        let command = open.advice.expect("a command");
        let done = std::process::Command::new("sh")
            .args(["-c", &command])
            .status();
        assert!(done.expect("a shell").success(), "{command}");
        assert_eq!(look().verdict, Verdict::Good);
    }
}
