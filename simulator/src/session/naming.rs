//! Violations with members' names in their words: invariants know keys and positions alone.

use crate::{report::Violation, world::World};

/// What was violated, each member called by its name.
pub(crate) fn violations(world: &World) -> Vec<Violation> {
    let found = world.invariants.violations().iter().cloned();
    found
        .map(|mut violation| {
            violation.text = named(world, &violation.text);
            violation
        })
        .collect()
}

/// A text with `member 3` and keys in place of which stand names.
fn named(world: &World, text: &str) -> String {
    let mut out = text.to_owned();
    for site in &world.sites {
        out = out.replace(&format!("{:?}", site.id), &site.spec.name);
    }
    by_position(&out, &|position| {
        let site = world.sites.get(position);
        site.map(|site| site.spec.name.clone())
    })
}

fn by_position(text: &str, name: &dyn Fn(usize) -> Option<String>) -> String {
    const BEFORE: &str = "member ";
    let mut parts = text.split(BEFORE);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        match part[..digits].parse().ok().and_then(name) {
            Some(name) => out += &(name + &part[digits..]),
            None => out += &(BEFORE.to_owned() + part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_become_names_and_nothing_else_does() {
        let name = |position: usize| (position < 2).then(|| format!("eu-{}", position + 1));
        for (text, wanted) in [
            ("member 1 is accused", "eu-2 is accused"),
            ("counts a member twice", "counts a member twice"),
            ("member 7, member 0", "member 7, eu-1"),
        ] {
            assert_eq!(by_position(text, &name), wanted);
        }
    }
}
