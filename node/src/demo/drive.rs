//! Carries the demo out: processes on one side, board, script and screen on the other.

mod wait;

use super::{
    DemoArgs, FoundedRun, Founding, MemberSetup, Sample,
    board::{Board, Note, NoteKind, Status},
    corpus::Corpus,
    ending::{Ending, quoted},
    figures::{grouped, plain, wrapped},
    processes::{Launch, Processes, Report, What, last_lines},
    screen::{Form, Screen},
    script::{Action, Because, Script},
};
use anyhow::{Context, bail};
use archipel_protocol::ids::Round;
use serde_json::json;
use std::{
    env, fs, future, io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, interval},
};
use wait::{Signals, Waited, wait};

/// How often the table is redrawn.
const FRAME: Duration = Duration::from_millis(100);
/// How long a node may take to end in good order.
const GRACE: Duration = Duration::from_secs(10);

/// A member's process ended before its time.
#[derive(Debug, thiserror::Error)]
#[error(
    "the process of {name} {what} in round {round}; the end of its log {}:\n{}\n\
     The other members were ended too. Everything is on disk: {resume}",
    log.display(), tail.join("\n")
)]
struct MemberDied {
    name: String,
    what: String,
    round: Round,
    log: PathBuf,
    tail: Vec<String>,
    resume: String,
}

/// How the members' part ended.
enum End {
    Finished,
    Interrupted(u8),
}

/// Founds or reopens, runs, and says the end.
pub(super) async fn drive(
    args: &DemoArgs,
    founding: Arc<dyn Founding>,
    screen: &mut Screen,
) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let dir = folder(args)?;
    let new = fs::read_dir(&dir)?.next().is_none();
    let work = {
        let (founding, dir, args) = (founding.clone(), dir.clone(), args.clone());
        spawn_blocking(move || open(&*founding, &dir, &args))
    };
    let what = format!("preparing the federation in {}", dir.display());
    let waited = wait(work, &what, screen, &mut signals).await;
    if waited.is_err() && args.dir.is_none() {
        // Our own folder, which nobody will look for. Where it is not empty it stays.
        let _ = fs::remove_dir(&dir);
    }
    let run = match waited? {
        Waited::Done(run) => run,
        Waited::Interrupted(code) => {
            let advice = if new {
                format!(
                    "before the federation was complete; remove {}",
                    quoted(&dir)
                )
            } else {
                format!(
                    "before the members were started; go on with\n   {}",
                    resume(&dir)
                )
            };
            screen.say(&format!(" Stopped {advice}"))?;
            return Ok(code.into());
        }
    };
    announce(&dir, &run, args.seed, screen)?;
    let mut drive = Drive::new(args, &dir, run, founding, screen)?;
    let result = drive.play(&mut signals).await;
    let hurry = async {
        signals.next().await;
    };
    std::mem::take(&mut drive.processes).end(GRACE, hurry).await;
    match result? {
        End::Interrupted(code) => {
            drive.screen.close()?;
            let text = format!(
                "\n Stopped. Every member keeps what it has in {}; go on with\n   {}",
                dir.display(),
                resume(&dir)
            );
            drive.screen.say(&text)?;
            drive
                .screen
                .tell(&json!({ "event": "stopped", "resume": resume(&dir) }))?;
            Ok(code.into())
        }
        End::Finished => drive.conclude(&mut signals).await,
    }
}

fn program() -> String {
    env::args()
        .next()
        .filter(|name| !name.is_empty())
        .unwrap_or("archipel".into())
}

fn resume(dir: &Path) -> String {
    format!("{} demo --dir {}", program(), quoted(dir))
}

/// The folder asked for, or a new one among the temporary files.
fn folder(args: &DemoArgs) -> anyhow::Result<PathBuf> {
    if let Some(dir) = &args.dir {
        fs::create_dir_all(dir).with_context(|| {
            format!(
                "cannot make the folder {}; name another with --dir",
                dir.display()
            )
        })?;
        return Ok(std::path::absolute(dir)?);
    }
    let made = tempfile::Builder::new().prefix("archipel-demo-").tempdir();
    Ok(made
        .context("cannot make a temporary folder; name a folder with --dir")?
        .keep())
}

fn open(founding: &dyn Founding, dir: &Path, args: &DemoArgs) -> anyhow::Result<FoundedRun> {
    let check = |run: &FoundedRun| {
        let names: Vec<String> = run
            .members
            .iter()
            .map(|member| member.name.clone())
            .collect();
        args.check(&names, run.first_round, run.rounds)
    };
    if let Some(run) = founding.reopen(dir, args)? {
        args.check_reopening(dir)?;
        check(&run)?;
        return Ok(run);
    }
    if fs::read_dir(dir)?.next().is_some() {
        bail!(
            "{} is not empty and holds no federation; name a new or empty folder with --dir",
            dir.display()
        );
    }
    let names = args.names();
    args.check(&names, Round(0), Round(args.round_count()))?;
    let corpus = Corpus::gather(args.data.as_deref(), names.len())?;
    let run = founding.found(dir, &names, &corpus, args)?;
    check(&run)?;
    Ok(run)
}

fn announce(
    dir: &Path,
    run: &FoundedRun,
    seed: Option<u64>,
    screen: &mut Screen,
) -> io::Result<()> {
    let (count, steps) = (run.members.len(), grouped(run.steps_per_round));
    let plan = if run.first_round == Round(0) {
        format!("{} rounds of {steps} steps", run.rounds)
    } else {
        format!(
            "goes on from round {} of {}, {steps} steps each",
            run.first_round, run.rounds
        )
    };
    let mut facts = vec![
        (
            "federation",
            format!("{count} members in {}", dir.display()),
        ),
        ("run", run.run_id.short()),
        ("text", run.text.clone()),
        ("model", run.model.clone()),
        ("plan", format!("{plan}, quorum {} of {count}", run.quorum)),
    ];
    if let Some(seed) = seed {
        let text =
            format!("derived from --seed {seed}: INSECURE, for runs that are to be repeated");
        facts.push(("keys", text));
    }
    for (mut title, fact) in facts {
        for line in wrapped(&plain(&fact), screen.columns().saturating_sub(13)) {
            screen.say(&format!(" {title:<11} {line}"))?;
            title = "";
        }
    }
    screen.say("")?;
    let names: Vec<&str> = run
        .members
        .iter()
        .map(|member| member.name.as_str())
        .collect();
    screen.tell(&json!({
        "event": "founded", "dir": dir.display().to_string(), "run_id": run.run_id,
        "members": names, "first_round": run.first_round, "rounds": run.rounds,
        "quorum": run.quorum, "parameters": run.parameters,
        "steps_per_round": run.steps_per_round, "order1_entropy": run.order1_entropy,
        "text": run.text, "model": run.model,
    }))
}

struct Drive<'a> {
    dir: &'a Path,
    run: FoundedRun,
    founding: Arc<dyn Founding>,
    screen: &'a mut Screen,
    board: Board,
    script: Script,
    processes: Processes,
    /// How to start each member, by row.
    launches: Vec<Launch>,
    admitting: Option<JoinHandle<anyhow::Result<MemberSetup>>>,
}

impl<'a> Drive<'a> {
    fn new(
        args: &DemoArgs,
        dir: &'a Path,
        run: FoundedRun,
        founding: Arc<dyn Founding>,
        screen: &'a mut Screen,
    ) -> anyhow::Result<Self> {
        let names: Vec<String> = run
            .members
            .iter()
            .map(|member| member.name.clone())
            .collect();
        let mut board = Board::new(&names, run.first_round, run.rounds);
        board.measure(run.first_round, run.first_bits_per_byte);
        let needed = if args.wait_all {
            names.len()
        } else {
            run.quorum
        };
        let script = Script::new(args, &board, needed);
        let launches = run.members.iter().map(|member| founding.launch(member));
        let launches = launches.collect::<anyhow::Result<_>>()?;
        let (processes, admitting) = (Processes::default(), None);
        Ok(Self {
            dir,
            run,
            founding,
            screen,
            board,
            script,
            processes,
            launches,
            admitting,
        })
    }

    async fn play(&mut self, signals: &mut Signals) -> anyhow::Result<End> {
        let (began, mut frames) = (Instant::now(), interval(FRAME));
        self.screen.restart_clock();
        (0..self.launches.len()).for_each(|row| self.start(row));
        while !self.is_over() {
            let admitted = async {
                match &mut self.admitting {
                    Some(work) => work.await,
                    None => future::pending().await,
                }
            };
            tokio::select! {
                code = signals.next() => return Ok(End::Interrupted(code)),
                report = self.processes.next() => {
                    self.board.elapsed = began.elapsed();
                    self.take(report)?;
                }
                admitted = admitted => {
                    self.admitting = None;
                    let member = admitted.context("a worker panicked")?;
                    self.admitted(member.context("no member could be admitted")?)?;
                }
                _ = frames.tick() => {
                    self.board.elapsed = began.elapsed();
                    let actions = self.script.tick(&self.board);
                    self.carry_out(actions)?;
                    self.screen.update(&self.board, false)?;
                }
            }
        }
        for text in self.script.unplayed(&self.board) {
            let note = self.board.note(NoteKind::Bad, text);
            self.show(note)?;
        }
        self.screen.update(&self.board, true)?;
        Ok(End::Finished)
    }

    fn is_over(&self) -> bool {
        let finished = self.board.rows.iter().all(|row| row.finished.is_some());
        finished && self.script.is_over() && self.admitting.is_none()
    }

    fn start(&mut self, row: usize) {
        self.board.started(row);
        self.processes.start(row, self.launches[row].clone());
    }

    fn show(&mut self, note: Option<Note>) -> io::Result<()> {
        note.map_or(Ok(()), |note| self.screen.note(&self.board, &note))
    }

    /// Takes in what a process did.
    fn take(&mut self, report: Report) -> anyhow::Result<()> {
        let row = report.row;
        // A killed process says nothing more, even where its last lines are still on the way.
        if !self.processes.is_current(&report) || self.board.rows[row].status == Status::Killed {
            return Ok(());
        }
        match report.what {
            What::Said(event) => {
                let note = self.board.apply(row, &event);
                self.show(note)?;
                let actions = self.script.react(&self.board, row, &event);
                self.carry_out(actions)?;
            }
            What::Babbled { line } => {
                let name = &self.board.rows[row].name;
                let text = format!("{name} printed what is no event: {line}");
                let note = self.board.note(NoteKind::Incident, text);
                self.show(note)?;
            }
            What::Exited(status) if status.success() && self.board.rows[row].finished.is_some() => {
            }
            What::Exited(status) => return Err(self.died(row, format!("ended ({status})")).into()),
            What::Lost(error) => return Err(self.died(row, format!("was lost ({error})")).into()),
        }
        Ok(())
    }

    fn died(&self, row: usize, what: String) -> MemberDied {
        let log = self.launches[row].log.clone();
        let (row, tail) = (&self.board.rows[row], last_lines(&log));
        let (name, round, resume) = (row.name.clone(), row.round, resume(self.dir));
        MemberDied {
            name,
            what,
            round,
            log,
            tail,
            resume,
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) -> anyhow::Result<()> {
        for action in actions {
            let (kind, text) = match action {
                Action::Kill { row, round } => {
                    self.processes.kill(row);
                    self.board.killed(row);
                    let name = &self.board.rows[row].name;
                    (
                        NoteKind::Kill,
                        format!("{name} killed (SIGKILL) in round {round}"),
                    )
                }
                Action::Restart { row, because } => {
                    self.start(row);
                    let name = &self.board.rows[row].name;
                    let why = match because {
                        Because::Certified(round) => format!("state {round} is certified"),
                        Because::NoQuorum => "without it nothing can be certified".to_owned(),
                    };
                    (NoteKind::Good, format!("{name} starts again: {why}"))
                }
                Action::Admit { round } => {
                    let (founding, dir) = (self.founding.clone(), self.dir.to_owned());
                    self.admitting = Some(spawn_blocking(move || founding.admit(&dir, round)));
                    (
                        NoteKind::Good,
                        format!("round {round}: the members vote on one more member"),
                    )
                }
            };
            let note = self.board.note(kind, text);
            self.show(note)?;
        }
        Ok(())
    }

    fn admitted(&mut self, member: MemberSetup) -> anyhow::Result<()> {
        let row = self.board.add(&member.name);
        self.launches.push(self.founding.launch(&member)?);
        self.start(row);
        let text = format!("{} has the members' votes and starts", member.name);
        self.run.members.push(member);
        let note = self.board.note(NoteKind::Good, text);
        self.show(note)?;
        Ok(())
    }

    /// Says the end, and its exit code.
    async fn conclude(&mut self, signals: &mut Signals) -> anyhow::Result<ExitCode> {
        self.screen.close()?;
        let program = program();
        let (board, run, dir) = (&self.board, &self.run, self.dir);
        let ending = Ending {
            board,
            run,
            dir,
            program: &program,
        };
        if self.screen.form() == Form::Json {
            self.screen.tell_finished(&ending.object())?;
        } else {
            let (width, paint) = (self.screen.columns(), self.screen.paint());
            self.screen.say(&ending.lines(width, paint).join("\n"))?;
            if ending.common().is_some() {
                let sample = sample(&self.founding, dir, self.screen, signals).await?;
                let mut lines = Vec::new();
                if let Some(sample) = &sample {
                    lines.extend(ending.sample(sample, width));
                }
                lines.extend(ending.next_steps(sample.as_ref()));
                self.screen.say(&lines.join("\n"))?;
            }
        }
        Ok(if ending.common().is_some() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// A sample of generated text; `None` where a person had no patience for it.
async fn sample(
    founding: &Arc<dyn Founding>,
    dir: &Path,
    screen: &mut Screen,
    signals: &mut Signals,
) -> anyhow::Result<Option<Sample>> {
    let (founding, dir) = (founding.clone(), dir.to_owned());
    let work = spawn_blocking(move || founding.sample(&dir));
    let waited = wait(work, "the model writes a sample", screen, signals).await;
    match waited.context("training ended well, but the model cannot be sampled")? {
        Waited::Done(sample) => Ok(Some(sample)),
        Waited::Interrupted(_) => Ok(None),
    }
}
