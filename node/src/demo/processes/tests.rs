use super::*;

fn shell(dir: &Path, script: &str) -> Launch {
    let arguments = vec!["-c".into(), script.into()];
    Launch {
        program: "/bin/sh".into(),
        arguments,
        log: dir.join("log.txt"),
    }
}

const HEADER: &str = r#"echo '{"event":"header","round":4}'"#;

async fn expect_header(processes: &mut Processes, generation: u32) {
    let report = processes.next().await;
    assert_eq!((report.row, report.generation), (0, generation));
    assert!(matches!(report.what, What::Said(_)), "{report:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_killed_process_is_gone_before_the_next_one_starts() {
    let dir = tempfile::tempdir().unwrap();
    // A folder can be made once: the second process fails unless the first one is dead.
    let script = format!("kill -0 $(cat pid) 2>&- && exit 9; echo $$ > pid; {HEADER}; read -r x");
    let script = format!("cd {}; touch pid; {script}", dir.path().display());
    let mut processes = Processes::default();
    processes.start(0, shell(dir.path(), &script));
    expect_header(&mut processes, 0).await;
    processes.kill(0);
    processes.start(0, shell(dir.path(), &script));
    let report = processes.next().await;
    assert!(
        matches!(report.what, What::Exited(status) if !status.success()),
        "{report:?}"
    );
    assert!(!processes.is_current(&report));
    expect_header(&mut processes, 1).await;
    processes
        .end(Duration::from_secs(60), std::future::pending())
        .await;
}

#[tokio::test(flavor = "current_thread")]
async fn stdin_closes_at_the_end_and_who_ignores_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display();
    let mut processes = Processes::default();
    processes.start(
        0,
        shell(
            dir.path(),
            &format!("{HEADER}; read -r x; echo left > {at}/left"),
        ),
    );
    expect_header(&mut processes, 0).await;
    processes
        .end(Duration::from_secs(60), std::future::pending())
        .await;
    assert_eq!(
        fs::read_to_string(dir.path().join("left")).unwrap(),
        "left\n"
    );

    let mut processes = Processes::default();
    processes.start(
        0,
        shell(dir.path(), &format!("{HEADER}; exec tail -f /dev/null")),
    );
    expect_header(&mut processes, 0).await;
    // Returns at all only because the process is killed.
    processes
        .end(Duration::from_secs(3600), std::future::ready(()))
        .await;
}

#[tokio::test(flavor = "current_thread")]
async fn lines_that_are_no_events_and_programs_that_are_not_there_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mut processes = Processes::default();
    let script = format!("printf '\\033[2Jhello\\n'; head -c 300000 /dev/zero; echo; {HEADER}");
    processes.start(0, shell(dir.path(), &script));
    let report = processes.next().await;
    assert!(
        matches!(&report.what, What::Babbled { line } if line == " [2Jhello"),
        "{report:?}"
    );
    let report = processes.next().await;
    assert!(
        matches!(&report.what, What::Babbled { line } if line.len() == 120),
        "{report:?}"
    );
    expect_header(&mut processes, 0).await;
    let report = processes.next().await;
    assert!(
        matches!(report.what, What::Exited(status) if status.success()),
        "{report:?}"
    );
    let absent = Launch {
        program: "/no/such/program".into(),
        ..shell(dir.path(), "")
    };
    processes.start(0, absent);
    let report = processes.next().await;
    assert!(matches!(report.what, What::Lost(_)), "{report:?}");
}

#[test]
fn the_end_of_a_log_is_short() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.txt");
    fs::write(
        &log,
        (0..100_000)
            .map(|n| format!("line {n}\n"))
            .collect::<String>(),
    )
    .unwrap();
    let lines = last_lines(&log);
    assert_eq!(
        (lines.len(), lines.last().unwrap().as_str()),
        (TAIL_LINES, "line 99999")
    );
    assert!(last_lines(&dir.path().join("absent"))[0].contains("cannot be read"));
}
