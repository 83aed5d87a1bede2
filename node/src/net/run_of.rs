//! Which run a node takes part in, as it says on a new connection.

use libp2p::identify;

/// Which run a node takes part in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// The run that was asked for.
    Ours,
    /// Another one.
    Other(String),
    /// None: it only asks whether it is let in, or is no node.
    None,
}

/// Reads the run from the name of the Kademlia protocol, which carries it.
pub(super) fn spoken_run(info: &identify::Info, run: &str) -> Speaks {
    let mut other = None;
    for protocol in &info.protocols {
        let name = protocol.as_ref().strip_prefix("/archipel/");
        match name.and_then(|name| name.strip_suffix("/kad/1")) {
            Some(found) if found == run => return Speaks::Ours,
            Some(found) => other = Some(found.to_owned()),
            None => {}
        }
    }
    other.map_or(Speaks::None, Speaks::Other)
}
