// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shell itself: prompt, line, a child for each command, and what the shell must do in its own process.

use super::commands::{self, Entry, find, no_command};
use super::parse::{Command, Redirection, parse};
use super::{Answer, of, shown, tasks, terminal, words};
use crate::fs::{self, Ready};
use crate::nfs;
use std::fs::File;
use std::io::{LineWriter, Write};
use std::os::fd::FromRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How often a child that was interrupted is looked at, and Ctrl-C while the shell itself is at work.
const LOOK: Duration = Duration::from_millis(20);
/// Ctrl-C was pressed.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether Ctrl-C was pressed since this was last asked.
pub(super) fn interrupted() -> bool {
    INTERRUPTED.swap(false, Ordering::Relaxed)
}

extern "C" fn on_interrupt(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Takes the terminal and lives until the user leaves.
pub(super) fn live((rows, columns): (u16, u16), trouble: &[String]) -> ! {
    own_faults();
    signals();
    if let Err(error) = terminal::take(rows, columns) {
        crate::init::console(&format!("the shell has no terminal: {}", words(&error)));
        leave(1);
    }
    let mut session = Session::default();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    session.say(&format!(
        "Linux {}; help lists the commands, exit powers off",
        release.trim_end()
    ));
    trouble.iter().for_each(|why| session.say(why));
    session.go_to("/mnt");
    while let Some(line) = session.ask() {
        if !session.line(&line) {
            break;
        }
    }
    leave(0)
}

/// Ends this process without what is done at the end of a whole program: it may be a forked child.
fn leave(code: i32) -> ! {
    // SAFETY: nothing of this process is needed any more.
    unsafe { libc::_exit(code) }
}

/// A fault of the shell or of a command ends that process, with its words on the terminal, not the machine.
fn own_faults() {
    std::panic::set_hook(Box::new(|panic| {
        let mut out = terminal_out();
        let _gone = writeln!(out, "{panic}");
        let _gone = out.flush();
        leave(101);
    }));
    for signal in [
        libc::SIGABRT,
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGCHLD,
    ] {
        // SAFETY: what signals do by default, they may do.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Ctrl-C interrupts what waits; nothing of a terminal's job control stops anything.
fn signals() {
    let handler: extern "C" fn(libc::c_int) = on_interrupt;
    // SAFETY: the handler only stores a flag; a zeroed sigaction is valid, and without SA_RESTART a wait returns.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        libc::sigaction(libc::SIGINT, &raw const action, std::ptr::null_mut());
        for signal in [libc::SIGQUIT, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU] {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
}

/// Standard output, with each line written at once.
fn terminal_out() -> LineWriter<File> {
    // SAFETY: descriptor 1 is open as long as the process lives, and is never closed by this.
    let file = std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(1) });
    let own = file.try_clone();
    LineWriter::new(own.unwrap_or_else(|_| leave(1)))
}

/// What the shell knows.
#[derive(Default)]
struct Session {
    /// Children that nobody waits for, with their names.
    beside: Vec<(i32, String)>,
    /// The NFS mount that `nfs` made.
    nfs: Option<Ready>,
}

impl Session {
    fn say(&mut self, line: &str) {
        let mut out = terminal_out();
        // Without a terminal there is nobody to tell; reading from it ends the session.
        let _gone = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    fn fail(&mut self, answer: Answer) {
        if let Err(why) = answer {
            why.lines().for_each(|line| self.say(line));
        }
    }

    /// The next line; none at the end.
    fn ask(&mut self) -> Option<String> {
        loop {
            self.reap();
            interrupted();
            let here = std::env::current_dir().unwrap_or_default();
            let mut out = terminal_out();
            let _gone = write!(out, "{}# ", shown(here.as_os_str())).and_then(|()| out.flush());
            match terminal::read_line() {
                Ok(line) => return line,
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => self.say(""),
                Err(_) => return None,
            }
        }
    }

    /// Does what a line says; false to leave.
    fn line(&mut self, line: &str) -> bool {
        let commands = match parse(line) {
            Ok(commands) => commands,
            Err(why) => {
                self.say(&why);
                return true;
            }
        };
        for command in &commands {
            match command.words[0].as_str() {
                "exit" | "poweroff" => return false,
                "cd" => self.go_to(command.words.get(1).map_or("/mnt", String::as_str)),
                "nfs" => self.nfs(command.words.get(1).map(String::as_str)),
                _ => self.start(command),
            }
            if interrupted() {
                break;
            }
        }
        true
    }

    fn go_to(&mut self, path: &str) {
        let went = std::env::set_current_dir(path).map_err(of(path));
        self.fail(went);
    }

    /// Starts a command, and waits for it unless it is to run beside.
    fn start(&mut self, command: &Command) {
        let name = command.words[0].as_str();
        if name != "help" && find(name).is_none() {
            return self.say(&no_command(name));
        }
        if name == "run" && command.words.get(2).is_some_and(|fs| fs.starts_with("nfs")) {
            // Its helpers answer the kernel for as long as this process lives, not only the child.
            let ready = self.start_server();
            if ready.is_err() {
                return self.fail(ready);
            }
        }
        // SAFETY: the child goes on with this thread alone; the allocator is made fit for that by fork, and no other
        // thread of the shell holds a lock that the child takes.
        match unsafe { libc::fork() } {
            0 => child(command),
            -1 => {
                let error = std::io::Error::last_os_error();
                self.fail(Err(of(name)(error)));
            }
            pid if command.background => {
                self.say(&format!("{pid} {name}"));
                self.beside.push((pid, name.to_owned()));
            }
            pid => self.wait(pid, name),
        }
    }

    /// Waits for a child. After Ctrl-C it has a while to end, after a second one it is left behind at once.
    fn wait(&mut self, pid: i32, name: &str) {
        let patience = find(name).map_or(Duration::ZERO, |entry| entry.patience);
        let mut since: Option<Instant> = None;
        loop {
            let flags = if since.is_some() { libc::WNOHANG } else { 0 };
            let mut status = 0;
            // SAFETY: waits for a child of this process.
            let ended = unsafe { libc::waitpid(pid, &raw mut status, flags) };
            if ended == pid {
                return self.told(name, status);
            }
            let again = interrupted();
            match since {
                None if again => since = Some(Instant::now()),
                Some(begun) if again || begun.elapsed() > patience => {
                    return self.leave_behind(pid, name);
                }
                Some(_) => std::thread::sleep(LOOK),
                // A signal of another kind.
                None if ended < 0
                    && std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) =>
                {
                    return;
                }
                None => {}
            }
        }
    }

    fn leave_behind(&mut self, pid: i32, name: &str) {
        let at = tasks::whereabouts(pid).unwrap_or_else(|| "gone".into());
        // Behind the terminal's ^C.
        self.say("");
        self.say(&format!(
            "{name} does not end: {pid} is {at}; it is left behind (stack {pid})"
        ));
        self.beside.push((pid, name.to_owned()));
    }

    fn told(&mut self, name: &str, status: i32) {
        if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) != libc::SIGINT {
            self.say(&format!(
                "{name} was killed by signal {}",
                libc::WTERMSIG(status)
            ));
        }
        if libc::WIFSIGNALED(status) {
            // Behind the terminal's ^C.
            self.say("");
        }
    }

    /// Tells of children that ended beside.
    fn reap(&mut self) {
        for (pid, name) in std::mem::take(&mut self.beside) {
            let mut status = 0;
            // SAFETY: asks about a child of this process, and does not wait.
            match unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } {
                0 => self.beside.push((pid, name)),
                _ => self.say(&format!("{pid} {name} has ended")),
            }
        }
    }

    // NFS.

    fn nfs(&mut self, word: Option<&str>) {
        let answer = match word {
            None => self.mount_nfs(),
            Some("off") => self.unmount_nfs(),
            Some(_) => Err("nfs, or nfs off".into()),
        };
        self.fail(answer);
    }

    fn mount_nfs(&mut self) -> Answer {
        if self.nfs.is_some() {
            return Err("it is mounted".into());
        }
        let ready = patiently(|| fs::prepare("nfs4.2"))?;
        let ready = ready.map_err(|refusal| refusal.to_string())?;
        let server = ready.server.clone().unwrap_or_default();
        self.say(&format!(
            "{} is NFSv4.2 of {}",
            ready.at.display(),
            server.display()
        ));
        self.nfs = Some(ready);
        Ok(())
    }

    fn unmount_nfs(&mut self) -> Answer {
        let mut ready = self.nfs.take().ok_or("it is not mounted")?;
        let (ready, removed) = patiently(move || {
            let removed = ready.remove();
            (ready, removed)
        })?;
        if removed.is_err() {
            self.nfs = Some(ready);
        }
        removed
    }

    fn start_server(&mut self) -> Answer {
        if self.nfs.is_some() {
            return Err("first `nfs off`: the scenario mounts for itself".into());
        }
        let started = patiently(|| nfs::server::start_in_background().join())?;
        let started = started.map_err(|_| "starting nfsd failed".to_owned())?;
        started.map_err(|refusal| refusal.to_string())
    }
}

/// Does in a thread what may hang; Ctrl-C leaves it behind.
fn patiently<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (give, take) = channel();
    let thread = std::thread::Builder::new().name("shell-work".into());
    let started = thread.spawn(move || {
        // Nobody may be there any more to hear of it.
        let _left = give.send(work());
    });
    started.map_err(of("thread"))?;
    loop {
        match take.recv_timeout(LOOK) {
            Ok(value) => return Ok(value),
            Err(RecvTimeoutError::Timeout) if interrupted() => {
                return Err("it is left behind, and may end later".into());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err("it ended without an answer".into()),
        }
    }
}

/// The child: does the command and ends.
fn child(command: &Command) -> ! {
    let name = command.words[0].as_str();
    let entry = find(name);
    child_signals(entry, command.background);
    name_itself(name);
    let done = redirect(command.to.as_ref()).and_then(|()| {
        let mut out = terminal_out();
        let done = match entry {
            Some(entry) => (entry.code)(&command.words, &mut out),
            None => commands::help(&command.words, &mut out),
        };
        done.and(out.flush().map_err(of(name)))
    });
    match done {
        Ok(()) => leave(0),
        Err(why) => {
            // SAFETY: descriptor 2 is the terminal, wherever 1 leads now.
            let mut terminal = unsafe { File::from_raw_fd(2) };
            let _gone = terminal.write_all(format!("{why}\n").as_bytes());
            leave(1)
        }
    }
}

/// Ctrl-C ends a command that does not hear of it by itself; what runs beside does not feel it.
fn child_signals(entry: Option<&Entry>, background: bool) {
    let hears = entry.is_some_and(|entry| entry.ends_itself);
    let action = match (background, hears) {
        (true, _) => libc::SIG_IGN,
        (false, true) => return,
        (false, false) => libc::SIG_DFL,
    };
    // SAFETY: one of the two actions that need no handler.
    unsafe { libc::signal(libc::SIGINT, action) };
}

/// So that `ps` tells what it does.
fn name_itself(name: &str) {
    if let Ok(name) = std::ffi::CString::new(name) {
        // SAFETY: the name ends in NUL; the kernel cuts what is too long.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    }
}

fn redirect(to: Option<&Redirection>) -> Answer {
    let Some(Redirection { path, append }) = to else {
        return Ok(());
    };
    let mut options = File::options();
    options
        .write(true)
        .create(true)
        .append(*append)
        .truncate(!append);
    let file = options.open(path).map_err(of(path))?;
    use std::os::fd::AsRawFd;
    // SAFETY: both descriptors are open.
    match unsafe { libc::dup2(file.as_raw_fd(), 1) } {
        -1 => Err(of(path)(std::io::Error::last_os_error())),
        _ => Ok(()),
    }
}
