//! Whether the other members can be reached: every address of theirs is dialed.
//!
//! Where this site's node runs, it is asked instead: a second node with its key must not speak.

use super::Finding;
use crate::{
    control::{Answer as Told, ControlError, Request, Status, ask, status::AttemptLine},
    driver::Site,
    net::{Answer, NetConfig, NetError, Probed, probe, short},
};
use anyhow::Context as _;
use archipel_protocol::{charter::CharterMember, ids::MemberId};
use libp2p::identity::Keypair;
use std::{collections::BTreeMap, path::Path};

pub(super) fn findings(dir: &Path) -> Vec<Finding> {
    match ask(dir, &Request::Status) {
        Ok(Told::Status(status)) => of_node(&status),
        Err(ControlError::NotRunning { .. }) => match dialed(dir) {
            Ok(findings) => findings,
            Err(error) => vec![Finding::bad("peers", crate::cli::told(&error))],
        },
        Ok(_) => vec![Finding::bad(
            "peers",
            "this site's node answers something else",
        )],
        Err(error) => vec![Finding::bad("peers", error.to_string())],
    }
}

/// What the running node says of its connections.
fn of_node(status: &Status) -> Vec<Finding> {
    let note = "asked of this site's node, which runs and has the key: nothing was dialed";
    let mut findings = vec![Finding::good("peers", note)];
    let others = status
        .members
        .iter()
        .filter(|line| line.id != status.member);
    for line in others {
        let name = &line.name;
        if line.connected {
            let took = line.round_trip_ms.map(|ms| format!(", {ms} ms"));
            let found = format!("{name}: connected{}", took.unwrap_or_default());
            findings.push(Finding::good("peer", found));
        } else if line.attempts.is_empty() {
            let found = format!("{name}: not connected, and no address of it is known");
            findings.push(Finding::note("peer", found).advise("it has to dial this site"));
        }
        findings.extend(line.attempts.iter().map(|attempt| attempted(name, attempt)));
    }
    findings
}

/// What one address answered the running node.
fn attempted(name: &str, attempt: &AttemptLine) -> Finding {
    let AttemptLine {
        address,
        answer,
        seconds_ago,
    } = attempt;
    let found = format!("{name} at {address}: {answer} ({seconds_ago} s ago)");
    let finding = Finding::note("peer", found);
    let known = [
        Answer::Refused,
        Answer::TimedOut,
        Answer::NoRoute,
        Answer::NoNetwork,
        Answer::Forbidden,
        Answer::NoSuchName,
        Answer::NoNameServer,
        Answer::NoTransport,
        Answer::OwnKey,
        Answer::KeyRefused,
    ];
    let known = known.into_iter().find(|known| known.to_string() == *answer);
    match known.and_then(|known| advice(name, address, &known)) {
        Some(advice) => finding.advise(advice),
        None => finding,
    }
}

/// Dials everything, with this site's key.
fn dialed(dir: &Path) -> anyhow::Result<Vec<Finding>> {
    let site = Site::open(dir)?;
    let me = site.me();
    let others: Vec<&CharterMember> = site.charter.members.iter().filter(|m| m.id != me).collect();
    let mut secret = *site.key.secret_bytes();
    let keypair = Keypair::ed25519_from_bytes(&mut secret).context("the member's key")?;
    let mut config = NetConfig::new(keypair, site.run_id);
    config.folder = Some(site.dir.clone());
    config.nat.relay_client = true;
    config.bootstrap = others
        .iter()
        .map(|member| {
            let addresses = member.addresses.iter().filter_map(|text| text.parse().ok());
            (member.id, addresses.collect())
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answers = match runtime.block_on(probe(&config)) {
        Ok(answers) => answers,
        Err(NetError::KeyInUse(used)) => {
            return Ok(vec![Finding::bad("peers", format!("not dialed: {used}"))]);
        }
        Err(error) => return Err(error.into()),
    };
    Ok(tell(&others, &answers))
}

fn tell(others: &[&CharterMember], answers: &BTreeMap<MemberId, Vec<Probed>>) -> Vec<Finding> {
    let names: BTreeMap<MemberId, &str> = others
        .iter()
        .map(|member| (member.id, member.name.as_str()))
        .collect();
    let mut findings = Vec::new();
    let mut reached = 0;
    for member in others {
        let probed = answers
            .get(&member.id)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let any = probed.iter().any(|one| one.answer == Answer::Connected);
        reached += usize::from(any);
        if probed.is_empty() {
            let found = format!("{}: the charter gives no address of it", member.name);
            findings.push(Finding::note("peer", found).advise("it has to dial this site"));
        }
        findings.extend(probed.iter().map(|one| finding(member, one, any, &names)));
    }
    if reached == 0 && !others.is_empty() {
        let found = "no other member was reached from here";
        findings.push(
            Finding::bad("peers", found).advise(
                "this site can take part only if others reach it: see \"reached at\" above",
            ),
        );
    }
    findings
}

fn finding(
    member: &CharterMember,
    probed: &Probed,
    reached: bool,
    names: &BTreeMap<MemberId, &str>,
) -> Finding {
    let (name, address) = (&member.name, short(&probed.address));
    let answer = match &probed.answer {
        Answer::Connected => {
            let found = format!("{name} at {address}: ok, {} ms", probed.took.as_millis());
            return Finding::good("peer", found);
        }
        Answer::OtherKey { found: Some(key) } if names.contains_key(key) => {
            format!("another key answered, that of {}", names[key])
        }
        answer => answer.to_string(),
    };
    let found = format!("{name} at {address}: {answer}");
    let finding = match probed.answer {
        Answer::KeyRefused | Answer::OtherRun { .. } if !reached => Finding::bad("peer", found),
        _ => Finding::note("peer", found),
    };
    match advice(name, &address, &probed.answer) {
        Some(advice) => finding.advise(advice),
        None => finding,
    }
}

/// What to do, or what to ask whom for.
fn advice(name: &str, address: &str, answer: &Answer) -> Option<String> {
    let words = address.split([' ', ',']);
    let port = words.filter_map(|word| word.split_once('/')).next_back();
    let port = match port {
        Some((kind, number)) => format!("{} {number}", kind.to_uppercase()),
        None => "its port".to_owned(),
    };
    Some(match answer {
        Answer::Refused => format!(
            "a machine is there, and nothing listens at {port}: does {name}'s node run, and does \
             its router pass the port on?"
        ),
        Answer::TimedOut => format!(
            "ask the owner of {name}'s firewall to let {port} in from this site, and of yours to \
             let it out; or its machine is down"
        ),
        Answer::NoRoute | Answer::NoNetwork => format!(
            "this machine has no way there: ask {name} for an address that this site can reach, \
             or your network's owner for a route"
        ),
        Answer::Forbidden => {
            format!("ask who runs this machine to let {port} out: its own firewall forbids it")
        }
        Answer::NoSuchName => format!("ask {name} for the right name, or for a number"),
        Answer::NoNameServer => {
            "ask your network's owner for a name server (/etc/resolv.conf)".to_owned()
        }
        Answer::NoTransport => {
            "expected an address that ends in /udp/PORT/quic-v1 or /tcp/PORT".to_owned()
        }
        Answer::NoNode { .. } => format!(
            "another program has {port}, or a device on the way answers: ask {name} which port \
             its node listens at"
        ),
        Answer::OtherKey { .. } | Answer::OwnKey => {
            format!("the address leads to another node than {name}'s: ask {name} for the right one")
        }
        Answer::OtherRun { .. } => {
            "compare `archipel charter verify charter.toml` of both sites: the run must be the same"
                .to_owned()
        }
        Answer::KeyRefused => format!(
            "this site's key is no member's in the present epoch of {name}'s run: see `archipel \
             status` there"
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use std::time::Duration;

    fn member(byte: u8, name: &str) -> CharterMember {
        let text = serde_json::json!({
            "id": MemberId([byte; 32]), "name": name, "role": "member", "addresses": [],
        });
        serde_json::from_value(text).expect("a member is plain data")
    }

    fn told(answers: &[Answer]) -> Vec<Finding> {
        let (ghent, porto) = (member(1, "ghent"), member(2, "porto"));
        let probed = answers.iter().map(|answer| Probed {
            address: "/ip4/10.1.2.3/udp/4001/quic-v1"
                .parse()
                .expect("an address"),
            answer: answer.clone(),
            took: Duration::from_millis(7),
        });
        let answers = BTreeMap::from([(ghent.id, probed.collect())]);
        tell(&[&ghent, &porto], &answers)
    }

    #[test]
    fn each_address_says_what_it_answered_and_whom_to_ask() {
        let found = Some(MemberId([2; 32]));
        let cases = [
            (
                Answer::Refused,
                "connection refused",
                "nothing listens at UDP 4001",
            ),
            (
                Answer::TimedOut,
                "timed out after 10 s",
                "ghent's firewall to let UDP 4001 in",
            ),
            (
                Answer::NoRoute,
                "no route to host",
                "your network's owner for a route",
            ),
            (Answer::NoSuchName, "does not resolve", "the right name"),
            (
                Answer::OtherKey { found },
                "another key answered, that of porto",
                "the right one",
            ),
            (
                Answer::KeyRefused,
                "refused this site's key",
                "present epoch",
            ),
        ];
        for (answer, expected, advised) in cases {
            let findings = told(&[answer]);
            let text = &findings[0].found;
            assert!(text.starts_with("ghent at 10.1.2.3 udp/4001: "), "{text}");
            assert!(text.contains(expected), "{text}");
            let advice = findings[0].advice.as_deref().expect("advice");
            assert!(advice.contains(advised), "{advice}");
            let last = findings.last().expect("some");
            assert_eq!((last.what, last.verdict), ("peers", Verdict::Bad));
        }
    }

    #[test]
    fn what_the_running_node_was_answered_has_the_same_advice() {
        let line = |address: &str, answer: Answer| AttemptLine {
            address: address.to_owned(),
            answer: answer.to_string(),
            seconds_ago: 3,
        };
        let found = attempted("ghent", &line("[2001:db8::1] tcp/4001", Answer::Refused));
        assert_eq!(
            found.found,
            "ghent at [2001:db8::1] tcp/4001: connection refused (3 s ago)"
        );
        let advice = found.advice.expect("advice");
        assert!(advice.contains("nothing listens at TCP 4001"), "{advice}");
        let waiting = attempted("ghent", &line("10.1.2.3 udp/4001", Answer::Waiting));
        assert_eq!(waiting.advice, None);
    }

    #[test]
    fn one_member_that_answers_is_enough_to_run() {
        let findings = told(&[Answer::TimedOut, Answer::Connected]);
        assert!(
            findings
                .iter()
                .all(|finding| finding.verdict != Verdict::Bad),
            "{findings:?}"
        );
        assert_eq!(findings[1].found, "ghent at 10.1.2.3 udp/4001: ok, 7 ms");
        assert!(
            findings[2]
                .found
                .contains("porto: the charter gives no address")
        );
    }
}
