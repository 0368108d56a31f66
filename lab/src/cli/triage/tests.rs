// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;

const LOG: &str = "[    1.000000] Linux version 6.12.0\n\
    [    5.000000][   T42] BUG: sleeping function called from invalid context at fs/dcache.c:100\n\
    [    5.000001][   T42] Call Trace:\n\
    [    5.000002][   T42]  __might_resched+0x1/0x2\n\
    [    5.000003][   T42]  __d_add\u{1b}[2J+0x1/0x2\n\
    [    5.000004][   T42]  d_splice_alias+0x1/0x2\n";

fn nothing() -> Args {
    Args {
        set: None,
        console: Vec::new(),
        vmlinux: None,
        results: None,
        json: false,
    }
}

fn check(log: &[u8], json: bool) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(log).unwrap();
    let args = Args {
        console: vec![file.path().to_owned()],
        json,
        ..nothing()
    };
    run(&args)
        .unwrap()
        .text
        .replace(&file.path().display().to_string(), "FILE")
}

#[test]
fn people_see_title_place_and_harmless_lines() {
    let shown = check(LOG.as_bytes(), false);
    assert!(!shown.contains('\u{1b}'), "{shown}");
    for wanted in [
        "FILE: 1 finding\n",
        "  BUG: sleeping function called from invalid context in d_splice_alias\n",
        "    function  d_splice_alias\n",
        "    lines     2 to 6\n",
        "__d_add\\u{1b}[2J+0x1/0x2\n",
    ] {
        assert!(shown.contains(wanted), "{wanted:?} in {shown}");
    }
}

#[test]
fn a_pipe_is_read_as_a_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let there = path.clone();
    let writer = std::thread::spawn(move || std::fs::write(there, LOG).unwrap());
    let args = Args {
        console: vec![path.clone()],
        ..nothing()
    };
    let shown = run(&args).unwrap().text;
    writer.join().unwrap();
    let shown = shown.replace(&path.display().to_string(), "FILE");
    assert_eq!(shown, check(LOG.as_bytes(), false));
}

#[test]
fn machines_get_one_line() {
    let line = check(LOG.as_bytes(), true);
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    let finding = &value["findings"][0];
    assert_eq!(
        (line.matches('\n').count(), &value["file"]),
        (1, &"FILE".into())
    );
    assert_eq!(finding["class"], "atomic-sleep");
    assert_eq!(finding["function"], "d_splice_alias");
    assert_eq!(finding["start"], LOG.find('\n').unwrap() + 1);
    assert_eq!(finding["end"], LOG.len());
    assert_eq!(check(b"", true), "{\"file\":\"FILE\",\"findings\":[]}\n");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let args = Args {
        console: vec!["no/such/console.log".into()],
        ..nothing()
    };
    let error = run(&args).unwrap_err();
    assert_eq!(error.exit(), crate::exit::Exit::Usage);
    assert!(
        error
            .to_string()
            .contains("failed to read the console no/such/console.log")
    );
}

#[test]
fn lines_are_counted_across_pieces() {
    let mut log = vec![b'\n'; CHUNK + 10];
    log.extend_from_slice(
        b"Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000300\n",
    );
    let shown = check(&log, false);
    let line = CHUNK + 11;
    assert!(
        shown.contains(&format!("lines     {line} to {line}")),
        "{shown}"
    );
}

#[test]
fn with_a_vmlinux_frames_are_told_by_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let code = "int x;\n\nvoid d_splice_alias(void)\n{\n\tx++;\n}\nvoid _start(void) { d_splice_alias(); for (;;) ; }\n";
    std::fs::write(at("dcache.c"), code).unwrap();
    let made = std::process::Command::new("gcc")
        .current_dir(folder.path())
        .args(["-g", "-O1", "-static", "-nostdlib", "-no-pie", "-fno-pie"])
        .args(["-o", "vmlinux", "dcache.c"])
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        println!("SKIPPED with_a_vmlinux_frames_are_told_by_file_and_line: no gcc");
        return;
    }
    std::fs::write(at("console.log"), LOG).unwrap();
    let args = |json, vmlinux: &str| Args {
        console: vec![at("console.log")],
        vmlinux: Some(at(vmlinux)),
        json,
        ..nothing()
    };
    let shown = run(&args(false, "vmlinux")).unwrap().text;
    assert!(
        shown.contains("d_splice_alias+0x1/0x2 (dcache.c:"),
        "{shown}"
    );
    let line = run(&args(true, "vmlinux")).unwrap().text;
    assert_eq!(line.matches('\n').count(), 1);
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    let frames = value["findings"][0]["frames"].as_array().unwrap();
    let last = frames.last().unwrap();
    assert_eq!(
        (&last["function"], &last["file"], &last["inlined"]),
        (&"d_splice_alias".into(), &"dcache.c".into(), &false.into())
    );
    for absent in ["console.log", "nothing"] {
        let error = run(&args(true, absent)).unwrap_err();
        assert_eq!(error.exit(), crate::exit::Exit::Usage, "{error}");
    }
}
