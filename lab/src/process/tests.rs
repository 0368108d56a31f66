// SPDX-License-Identifier: MIT OR Apache-2.0
//! Supervision, tried on real children.

use super::*;
use crate::stop;

fn shell(script: &str) -> Spec {
    Spec::new("/bin/sh").args(["-c", script])
}

async fn lines_of(script: &str, limit: u64) -> (Finished, Vec<String>) {
    let (_stopper, stop) = stop::channel();
    let mut lines = Vec::new();
    let finished = supervise(shell(script), Duration::from_secs(limit), stop, |line| {
        lines.push(String::from_utf8_lossy(line).into_owned());
    });
    let finished = finished.await.unwrap();
    (finished, lines)
}

fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// Killed is not yet dead: the kernel takes its time on a busy machine.
async fn is_gone(pid: i32) -> bool {
    for _ in 0..500 {
        if !alive(pid) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn lines_come_in_order_and_an_end_is_data() {
    let (finished, lines) = lines_of("echo a; echo b >&2; printf c; exit 3", 20).await;
    assert_eq!(finished.end, End::Exited(3));
    assert_eq!(lines, ["a", "b", "c"]);
    let (finished, _) = lines_of("kill -SEGV $$", 20).await;
    assert_eq!(finished.end, End::Signalled(11));
}

#[tokio::test]
async fn a_line_without_end_is_cut() {
    let (_, lines) = lines_of(
        "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo after",
        20,
    )
    .await;
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0].len(), LINE_MAX);
    assert_eq!(lines[1], "after");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error_that_names_it() {
    let (_stopper, stop) = stop::channel();
    let spec = Spec::new("/no/such/program");
    let error = supervise(spec, Duration::from_secs(1), stop, |_| {})
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("failed to start `/no/such/program`: "),
        "{error}"
    );
}

#[tokio::test]
async fn the_limit_ends_the_whole_group() {
    let script = "trap '' TERM; sleep 1000 & echo $!; sleep 1000";
    let begun = Instant::now();
    let (_stopper, stop) = stop::channel();
    let mut pid = 0;
    let run = supervise(shell(script), Duration::from_secs(2), stop, |line| {
        pid = String::from_utf8_lossy(line).parse().unwrap();
    });
    assert_eq!(run.await.unwrap().end, End::TimedOut);
    assert!(pid > 0 && is_gone(pid).await);
    assert!(begun.elapsed() < Duration::from_secs(12));
}

#[tokio::test]
async fn stop_asks_first_and_kills_when_told_again() {
    let (stopper, stop) = stop::channel();
    let run = tokio::spawn(supervise(
        shell("trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done"),
        Duration::from_secs(60),
        stop.clone(),
        |_| {},
    ));
    tokio::time::sleep(Duration::from_millis(200)).await;
    stopper.escalate();
    assert_eq!(run.await.unwrap().unwrap().end, End::Stopped);

    let (stopper, stop) = stop::channel();
    let script = shell("trap '' TERM; while :; do sleep 0.05; done");
    let begun = Instant::now();
    let run = tokio::spawn(supervise(script, Duration::from_secs(60), stop, |_| {}));
    tokio::time::sleep(Duration::from_millis(200)).await;
    stopper.escalate();
    stopper.escalate();
    assert_eq!(run.await.unwrap().unwrap().end, End::Stopped);
    assert!(begun.elapsed() < GRACE);
}

#[tokio::test]
async fn dropping_a_child_ends_it() {
    let mut child = Child::spawn(shell("echo $$; sleep 1000")).await.unwrap();
    let pid: i32 = String::from_utf8_lossy(child.next_line().await.unwrap())
        .parse()
        .unwrap();
    assert_eq!(pid, child.id());
    drop(child);
    for _ in 0..100 {
        if !alive(pid) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{pid} still runs");
}
