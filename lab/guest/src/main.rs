// SPDX-License-Identifier: MIT OR Apache-2.0
//! PID 1 of the guest: brings the machine up, runs the job's scenarios, tells the lab, powers off.

mod fs;
mod init;
mod job;
mod nfs;
mod ops;
mod port;
mod proc;
mod rng;
mod run;
mod scenario;
mod shell;
mod stall;
mod stats;

use std::io::Write;

fn main() {
    // Elsewhere than in a guest this would mount over a host's /dev and switch the host off.
    if std::process::id() == 1 {
        match shell::wanted() {
            Some(size) => shell::live(size),
            None => job::live(),
        }
    }
    let text = "lab-guest is PID 1 of a lab's guest and does nothing elsewhere. Its scenarios:\n";
    // Whoever closed the output does not want to read it.
    let _ = write!(std::io::stdout(), "{text}{}", scenario::table());
}
