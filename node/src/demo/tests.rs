//! The demo from end to end, with shell scripts that print what nodes print.

use super::{screen::Form, table::Paint, *};
use args::Kill;
use serde_json::Value;
use std::{
    fs,
    io::{self, Write},
    sync::Mutex,
};

/// A member: `node.sh FOLDER NAME ROUNDS WAY`. Its first process goes through all rounds, a later
/// one is at the end at once. `hang@K`: waits in round K to be killed. `root`: ends on a root of
/// its own. `die`: says why on stderr and ends.
const NODE: &str = r#"
dir=$1 name=$2 rounds=$3 way=$4
id=0101010101010101010101010101010101010101010101010101010101010101
root=abababababababababababababababababababababababababababababababab
say() { printf '%s\n' "$1"; }
certified() {
    say "{\"event\":\"certified\",\"round\":$1,\"root\":\"$root\",\"members_in_cut\":3,\
\"bits_per_byte\":5.5,\"tokens\":10,\"bytes_sent\":$(($1 * 100)),\"bytes_received\":7,\
\"payload_bytes\":10,\"dense_bytes\":320,\"round_ms\":4,\"newer\":true}"
}
echo "$$" >> "$dir/starts"
say "{\"event\":\"started\",\"member\":\"$id\",\"name\":\"$name\",\"run_id\":\"$id\"}"
round=0
[ "$(wc -l < "$dir/starts")" -gt 1 ] && round=$rounds
[ "$round" -eq 0 ] && say '{"event":"evaluated","round":0,"bits_per_byte":8.0}'
while [ "$round" -lt "$rounds" ]; do
    say "{\"event\":\"phase\",\"round\":$round,\"phase\":\"train\",\"step\":0,\"steps\":9}"
    [ "$way" = "hang@$round" ] && read -r forever
    [ "$way" = die ] && echo 'the disk is on fire' >&2 && exit 3
    round=$((round + 1))
    certified "$round"
done
[ "$way" = root ] && root=cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
say "{\"event\":\"finished\",\"round\":$rounds,\"root\":\"$root\",\"bits_per_byte\":5.25}"
read -r until_stdin_closes
exit 0
"#;

const ROUNDS: u64 = 6;

/// Members whose way is not `""`, by name.
struct Fake {
    ways: Vec<(&'static str, &'static str)>,
}

impl Fake {
    fn member(dir: &Path, name: &str) -> anyhow::Result<MemberSetup> {
        let member = MemberSetup {
            name: name.to_owned(),
            dir: dir.join(name),
        };
        fs::create_dir_all(&member.dir)?;
        fs::write(member.dir.join("node.sh"), NODE)?;
        Ok(member)
    }
}

impl Founding for Fake {
    fn reopen(&self, _: &Path, _: &DemoArgs) -> anyhow::Result<Option<FoundedRun>> {
        Ok(None)
    }

    fn found(
        &self,
        dir: &Path,
        names: &[String],
        corpus: &Corpus,
        args: &DemoArgs,
    ) -> anyhow::Result<FoundedRun> {
        let members = names.iter().map(|name| Self::member(dir, name));
        Ok(FoundedRun {
            run_id: RunId([1; 32]),
            members: members.collect::<anyhow::Result<_>>()?,
            first_round: Round(0),
            rounds: Round(args.round_count()),
            quorum: 2,
            parameters: 1_000,
            steps_per_round: 9,
            order1_entropy: corpus::order1_entropy(&corpus.heldout),
            first_bits_per_byte: None,
            model: "none".into(),
            text: corpus.source.clone(),
        })
    }

    fn admit(&self, dir: &Path, _: Round) -> anyhow::Result<MemberSetup> {
        Self::member(dir, "member-4")
    }

    fn sample(&self, dir: &Path) -> anyhow::Result<Sample> {
        let (prompt, text) = ("fn ".to_owned(), "main() {}".to_owned());
        Ok(Sample {
            prompt,
            text,
            checkpoint: dir.join("checkpoint"),
        })
    }

    fn launch(&self, member: &MemberSetup) -> anyhow::Result<Launch> {
        let way = self.ways.iter().find(|(name, _)| *name == member.name);
        let arguments = vec![
            member.dir.join("node.sh").into(),
            member.dir.clone().into(),
            member.name.clone().into(),
            ROUNDS.to_string().into(),
            way.map_or("", |(_, way)| way).into(),
        ];
        Ok(Launch {
            program: "/bin/sh".into(),
            arguments,
            log: member.dir.join("log.txt"),
        })
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What came of a demo.
struct Played {
    _folder: tempfile::TempDir,
    dir: PathBuf,
    result: anyhow::Result<ExitCode>,
    printed: String,
}

fn play(form: Form, ways: &[(&'static str, &'static str)], change: fn(&mut DemoArgs)) -> Played {
    let folder = tempfile::tempdir().unwrap();
    let (data, dir) = (folder.path().join("text"), folder.path().join("demo"));
    fs::write(
        &data,
        "To be, or not to be, that is the question.\n".repeat(10_000),
    )
    .unwrap();
    let mut args = DemoArgs {
        members: Some(3),
        rounds: Some(ROUNDS),
        data: Some(data),
        plan: None,
        dir: Some(dir.clone()),
        seed: None,
        wait_all: false,
        kill: Vec::new(),
        join: None,
        json: form == Form::Json,
    };
    change(&mut args);
    let out = Shared::default();
    let mut screen = Screen::new(form, Box::new(out.clone()), Paint { colour: false });
    let result = run_on(
        &args,
        Arc::new(Fake {
            ways: ways.to_vec(),
        }),
        &mut screen,
    );
    let printed = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
    Played {
        _folder: folder,
        dir,
        result,
        printed,
    }
}

impl Played {
    fn objects(&self) -> Vec<Value> {
        self.printed
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn notes(&self) -> Vec<String> {
        let objects = self
            .objects()
            .into_iter()
            .filter(|object| object["event"] == "note");
        objects
            .map(|object| object["text"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Process numbers of a member's processes, in order.
    fn processes(&self, name: &str) -> Vec<String> {
        let starts = fs::read_to_string(self.dir.join(name).join("starts")).unwrap();
        starts.lines().map(str::to_owned).collect()
    }

    fn succeeded(&self) -> bool {
        let code = self.result.as_ref().map(|code| format!("{code:?}"));
        code.unwrap_or_else(|error| panic!("{error:#}")) == format!("{:?}", ExitCode::SUCCESS)
    }

    fn assert_nobody_is_left(&self, names: &[&str]) {
        for process in names.iter().flat_map(|name| self.processes(name)) {
            assert!(
                !Path::new("/proc").join(&process).exists(),
                "{process} still runs"
            );
        }
    }
}

#[test]
fn a_demo_ends_on_one_root_and_leaves_no_process() {
    let played = play(Form::Json, &[], |_| {});
    assert!(played.succeeded());
    let objects = played.objects();
    assert_eq!(objects[0]["event"], "founded");
    let rounds = objects.iter().filter(|object| object["event"] == "round");
    let rounds: Vec<u64> = rounds
        .map(|object| object["round"].as_u64().unwrap())
        .collect();
    assert_eq!(rounds, (0..=ROUNDS).collect::<Vec<_>>());
    let last = objects.last().unwrap();
    assert_eq!(last["event"], "finished");
    assert_eq!(
        (&last["first_bits_per_byte"], &last["bytes_sent"]),
        (&8.0.into(), &1800.into())
    );
    assert_eq!(last["bytes_f32_allreduce"], 2 * 2 * 4 * 1_000 * 9 * ROUNDS);
    assert_eq!(last["members"].as_array().unwrap().len(), 3);
    played.assert_nobody_is_left(&["member-1", "member-2", "member-3"]);
}

#[test]
fn a_killed_member_starts_again_when_the_others_are_two_states_on() {
    let played = play(Form::Json, &[("member-2", "hang@2")], |args| {
        args.kill = vec![Kill {
            name: "member-2".into(),
            round: Round(2),
        }];
    });
    assert!(played.succeeded());
    let notes = played.notes();
    assert!(
        notes[0].starts_with("member-2 killed (SIGKILL) in round 2"),
        "{notes:?}"
    );
    assert!(
        notes[1].starts_with("member-2 starts again: state "),
        "{notes:?}"
    );
    assert_eq!(played.processes("member-2").len(), 2);
    assert_eq!(played.processes("member-1").len(), 1);
    played.assert_nobody_is_left(&["member-1", "member-2", "member-3"]);
}

#[test]
fn one_more_member_is_admitted_and_ends_on_the_same_root() {
    let played = play(Form::Json, &[], |args| args.join = Some(2));
    assert!(played.succeeded());
    assert!(
        played
            .notes()
            .iter()
            .any(|note| note.starts_with("member-4 has the members' votes"))
    );
    assert_eq!(
        played.objects().last().unwrap()["members"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    played.assert_nobody_is_left(&["member-1", "member-4"]);
}

#[test]
fn unlike_roots_are_loud_and_a_failure() {
    let played = play(Form::Plain, &[("member-3", "root")], |_| {});
    assert!(!played.succeeded());
    assert!(
        played.printed.contains("THE MEMBERS DO NOT HOLD ONE STATE"),
        "{}",
        played.printed
    );
    assert!(
        played.printed.contains(&"cd".repeat(32)),
        "{}",
        played.printed
    );
}

#[test]
fn a_process_that_dies_ends_the_demo_with_its_last_words() {
    let played = play(Form::Json, &[("member-3", "die")], |_| {});
    let error = format!("{:#}", played.result.as_ref().unwrap_err());
    let log = played.dir.join("member-3/log.txt");
    for part in [
        "member-3 ended (exit status: 3)",
        "the disk is on fire",
        log.to_str().unwrap(),
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(played.objects().last().unwrap()["event"], "failed");
    played.assert_nobody_is_left(&["member-3"]);
}

#[test]
fn a_plain_demo_prints_a_line_a_round_and_what_to_do_next() {
    let played = play(Form::Plain, &[], |_| {});
    assert!(played.succeeded());
    for part in [
        "quorum 2 of 3",
        " round   0/6   8.000 bits per byte",
        " round   6/6   5.500 bits per byte  cut 3/3  root abababab ✓",
        "3 members, one model",
        "Go on with",
    ] {
        assert!(
            played.printed.contains(part),
            "{part} is missing in\n{}",
            played.printed
        );
    }
    assert!(!played.printed.contains('\x1b'));
}

#[test]
fn what_cannot_be_is_refused_before_a_process_starts() {
    let played = play(Form::Json, &[], |args| {
        args.kill = vec![Kill {
            name: "member-7".into(),
            round: Round(2),
        }];
    });
    let error = played.result.unwrap_err().to_string();
    assert!(error.contains("no member is called `member-7`"), "{error}");
    let played = play(Form::Json, &[], |args| {
        args.dir = args
            .data
            .as_ref()
            .and_then(|data| data.parent().map(Path::to_owned));
    });
    let error = played.result.unwrap_err().to_string();
    assert!(
        error.contains("is not empty and holds no federation"),
        "{error}"
    );
}
