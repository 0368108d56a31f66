// SPDX-License-Identifier: MIT OR Apache-2.0
//! Downloads from a loop-back server that cuts, stalls and lies.

use super::*;
use crate::error::Result;
use crate::stop;
use sha2::Digest;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the server does with one request; a script is played from its beginning, its last act for ever.
#[derive(Clone, Copy)]
enum Act {
    /// All that is asked for.
    Serve,
    /// All of it, whatever the range.
    IgnoreRange,
    /// So many bytes of what it announces, then the line is cut.
    Cut(usize),
    /// So many bytes, then silence.
    Stall(usize),
    /// Announces a length that is not the file's, and sends the file.
    Lie(usize),
    /// A range that was not asked for.
    OtherRange,
    /// Other bytes of the same length.
    Wrong,
    /// A status line, with headers.
    Status(&'static str),
}

struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

fn file() -> Vec<u8> {
    (0..100_000u32).flat_map(|n| n.to_le_bytes()).collect()
}

fn serve(script: &'static [Act]) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/linux.tar.xz", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let act = script[n.min(script.len() - 1)];
            let log = log.clone();
            std::thread::spawn(move || answer(stream.unwrap(), act, &log));
        }
    });
    Server { url, asked }
}

fn answer(mut stream: TcpStream, act: Act, log: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap().to_lowercase();
    if request.contains("sha256sums.asc") {
        let list = format!("{:x}  linux-6.12.3.tar.xz\n", sha2::Sha256::digest(file()));
        let length = list.len();
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{list}"
        );
        return;
    }
    let range = request
        .lines()
        .find_map(|line| line.strip_prefix("range: bytes="));
    log.lock().unwrap().push(range.unwrap_or("all").to_owned());
    let file = file();
    let from: usize = range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
    let (status, from) = match (act, from) {
        (Act::Status(text), _) => {
            let _ = write!(
                stream,
                "HTTP/1.1 {text}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            return;
        }
        (Act::OtherRange, _) => (
            format!("206 P\r\nContent-Range: bytes 3-/{}", file.len()),
            3,
        ),
        (Act::IgnoreRange, _) | (_, 0) => ("200 OK".to_owned(), 0),
        (_, from) if from >= file.len() => ("416 Range Not Satisfiable".to_owned(), file.len()),
        (_, from) => (
            format!(
                "206 P\r\nContent-Range: bytes {from}-{}/{}",
                file.len() - 1,
                file.len()
            ),
            from,
        ),
    };
    let mut body = file[from..].to_vec();
    let length = match act {
        Act::Lie(length) => length,
        _ => body.len(),
    };
    match act {
        Act::Cut(keep) | Act::Stall(keep) => body.truncate(keep),
        Act::Wrong => body.fill(7),
        _ => {}
    }
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let _ = stream.write_all(&body);
    if let Act::Stall(_) = act {
        std::thread::sleep(Duration::from_secs(8));
    }
}

struct Seen {
    result: Result<()>,
    asked: Vec<String>,
    waits: Vec<(String, Duration)>,
    dir: tempfile::TempDir,
}

fn fetch(script: &'static [Act], change: impl FnOnce(&mut Download)) -> Seen {
    let server = serve(script);
    let dir = tempfile::tempdir().unwrap();
    let mut wanted = Download {
        url: server.url,
        to: dir.path().join("linux.tar.xz"),
        sha256: format!("{:x}", sha2::Sha256::digest(file())),
        limits: Limits {
            stall: Duration::from_secs(2),
            attempts: 3,
            back_off: Duration::from_millis(5),
            longest_wait: Duration::from_millis(200),
            ..Limits::default()
        },
        proxies: false,
    };
    change(&mut wanted);
    let mut waits = Vec::new();
    let (_stopper, stop) = stop::channel();
    let mut progress = |progress| {
        if let Progress::Waiting { why, wait } = progress {
            waits.push((why, wait));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let result = runtime.block_on(download(&wanted, &stop, &mut progress));
    let asked = server.asked.lock().unwrap().clone();
    Seen {
        result,
        asked,
        waits,
        dir,
    }
}

#[track_caller]
fn check_whole(script: &'static [Act], asked: &[&str]) -> Seen {
    let seen = fetch(script, |_| {});
    seen.result.as_ref().unwrap();
    assert_eq!(
        std::fs::read(seen.dir.path().join("linux.tar.xz")).unwrap(),
        file()
    );
    assert!(!seen.dir.path().join("linux.tar.xz.part").exists());
    assert_eq!(seen.asked, asked);
    seen
}

#[track_caller]
fn check_failed(seen: &Seen, words: &str) {
    let text = seen.result.as_ref().unwrap_err().to_string();
    assert!(text.contains(words), "{text}");
    assert!(!seen.dir.path().join("linux.tar.xz").exists());
}

#[test]
fn a_good_server() {
    check_whole(&[Act::Serve], &["all"]);
}

#[test]
fn a_cut_or_stalled_download_goes_on_where_it_was() {
    check_whole(
        &[Act::Cut(1000), Act::Cut(500), Act::Serve],
        &["all", "1000-", "1500-"],
    );
    let seen = check_whole(&[Act::Stall(1000), Act::Serve], &["all", "1000-"]);
    assert_eq!(seen.waits[0].0, "the server went silent");
}

#[test]
fn a_server_that_ignores_ranges_sends_all_again() {
    check_whole(&[Act::Cut(1000), Act::IgnoreRange], &["all", "1000-"]);
    check_whole(
        &[Act::Cut(1000), Act::OtherRange, Act::Serve],
        &["all", "1000-", "1000-"],
    );
}

#[test]
fn a_lie_about_the_length_is_found() {
    check_whole(&[Act::Lie(500), Act::Serve], &["all", "all"]);
    check_whole(&[Act::Lie(500_000), Act::Serve], &["all", "400000-"]);
}

#[test]
fn wrong_bytes_are_dropped_and_never_taken() {
    check_whole(&[Act::Wrong, Act::Serve], &["all", "all"]);
    let seen = fetch(&[Act::Wrong], |_| {});
    check_failed(&seen, "wrong checksum");
    assert!(!seen.dir.path().join("linux.tar.xz.part").exists());
    assert_eq!(seen.asked, ["all", "all", "all"]);
}

#[test]
fn a_busy_server_is_left_alone_as_long_as_it_asks_within_bounds() {
    let seen = check_whole(
        &[
            Act::Status("429 Too Many\r\nRetry-After: 3600"),
            Act::Status("503 Busy\r\nRetry-After: 0"),
            Act::Serve,
        ],
        &["all", "all", "all"],
    );
    let waits: Vec<Duration> = seen.waits.iter().map(|wait| wait.1).collect();
    assert_eq!(waits, [Duration::from_millis(200), Duration::ZERO]);
    let seen = fetch(&[Act::Status("503 Busy")], |_| {});
    check_failed(&seen, "503");
    assert_eq!(seen.asked.len(), 3);
}

#[test]
fn what_cannot_get_better_is_not_tried_again() {
    let seen = fetch(&[Act::Status("404 Gone")], |_| {});
    check_failed(&seen, "404");
    assert_eq!(seen.asked.len(), 1);
    let seen = fetch(&[Act::Serve], |wanted| wanted.limits.bytes = 1000);
    check_failed(&seen, "larger than 1000 bytes");
    let seen = fetch(&[Act::Status("302 Found\r\nLocation: /round")], |_| {});
    check_failed(&seen, "redirect");
}

#[test]
fn redirects_are_followed() {
    check_whole(
        &[Act::Status("302 Found\r\nLocation: /there"), Act::Serve],
        &["all", "all"],
    );
}

#[test]
fn a_part_from_before_is_used_and_a_bad_one_dropped() {
    let seen = fetch(&[Act::Serve], |wanted| {
        std::fs::write(wanted.to.with_extension("xz.part"), &file()[..10]).unwrap();
    });
    seen.result.unwrap();
    assert_eq!(seen.asked, ["10-"]);
    let seen = fetch(&[Act::Serve], |wanted| {
        std::fs::write(wanted.to.with_extension("xz.part"), vec![1; 500_000]).unwrap();
    });
    seen.result.unwrap();
    assert_eq!(seen.asked, ["500000-", "all"]);
}

#[test]
fn a_file_that_is_there_is_not_asked_for_again() {
    let seen = fetch(&[Act::Serve], |wanted| {
        std::fs::write(&wanted.to, file()).unwrap()
    });
    seen.result.unwrap();
    assert!(seen.asked.is_empty());
}

#[test]
fn stop_is_heard() {
    let server = serve(&[Act::Status("503 Busy")]);
    let dir = tempfile::tempdir().unwrap();
    let wanted = Download {
        url: server.url,
        to: dir.path().join("f"),
        sha256: "0".repeat(64),
        limits: Limits {
            back_off: Duration::from_secs(60),
            ..Limits::default()
        },
        proxies: false,
    };
    let (stopper, stop) = stop::channel();
    let mut progress = |_| stopper.escalate();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let result = runtime.block_on(download(&wanted, &stop, &mut progress));
    assert_eq!(result.unwrap_err().exit(), crate::exit::Exit::Interrupted);
}

#[test]
fn checksums_are_found_in_lists() {
    let sum = "AB".repeat(32);
    let list = format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\n\n{sum}  linux-6.12.tar.xz\nshort  linux-6.13.tar.xz\n"
    );
    assert_eq!(
        find_checksum(&list, "linux-6.12.tar.xz"),
        Some(sum.to_lowercase())
    );
    assert_eq!(find_checksum(&list, "linux-6.13.tar.xz"), None);
    assert_eq!(find_checksum(&list, "6.12.tar.xz"), None);
}

#[test]
fn a_release_is_checked_against_the_list_beside_it() {
    let server = serve(&[Act::Serve, Act::Serve, Act::Cut(1000), Act::Serve]);
    let site = server.url.trim_end_matches("/linux.tar.xz");
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("k.tar.xz");
    let (_stopper, stop) = stop::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let run = |version| {
        let mut progress = |_| {};
        runtime.block_on(kernel::from_site(
            site,
            version,
            &to,
            false,
            &stop,
            &mut progress,
        ))
    };
    let error = run("6.12.4").unwrap_err().to_string();
    assert!(
        error.contains("does not list linux-6.12.4.tar.xz"),
        "{error}"
    );
    run("6.12.3").unwrap();
    assert_eq!(std::fs::read(&to).unwrap(), file());
}
