// SPDX-License-Identifier: MIT OR Apache-2.0
//! The client tracking daemon (nfsdcld) as far as a server needs it that has no past.
//!
//! At its start nfsd asks which clients may reclaim state. Who answers «none» gets no grace period
//! at all; without an answer every first write waits for its end, holding its directory's lock, for
//! 13 seconds or more. The protocol is that of `include/uapi/linux/nfsd/cld.h`, version 1.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The pipe that nfsd makes when it starts.
const PIPE: &str = "/var/lib/nfs/rpc_pipefs/nfsd/cld";
const GET_VERSION: u8 = 5;
const VERSION: u8 = 1;

/// Waits for the pipe to come and answers it from then on; gives up when `over` is set first.
pub(super) fn serve(over: &AtomicBool) {
    loop {
        if let Ok(pipe) = File::options().read(true).write(true).open(PIPE) {
            return answer_all(pipe);
        }
        if over.load(Ordering::Acquire) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn answer_all(mut pipe: File) {
    let mut buffer = [0; 4096];
    while let Ok(got) = pipe.read(&mut buffer) {
        if got == 0 {
            // The pipe has no message and cannot say when; this is off the workload's way.
            std::thread::sleep(Duration::from_millis(20));
        } else if let Some(message) = answer(&buffer[..got]) {
            // nfsd goes on without tracking when it is not answered.
            let _ = pipe.write_all(&message);
        }
    }
}

/// The same message with status 0: everything is remembered, nobody was here before.
fn answer(message: &[u8]) -> Option<Vec<u8>> {
    let mut message = message.to_vec();
    let command = *message.get(1)?;
    message.get_mut(2..4)?.fill(0);
    if command == GET_VERSION {
        *message.get_mut(8)? = VERSION;
    }
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_becomes_0_and_the_rest_comes_back() {
        let grace_start = [1, 4, 0xf3, 0xff, 9, 0, 0, 0, 7, 7];
        assert_eq!(
            answer(&grace_start).unwrap(),
            [1, 4, 0, 0, 9, 0, 0, 0, 7, 7]
        );
        let version = [1, GET_VERSION, 0, 0, 9, 0, 0, 0, 0, 0];
        assert_eq!(
            answer(&version).unwrap(),
            [1, GET_VERSION, 0, 0, 9, 0, 0, 0, VERSION, 0]
        );
        assert_eq!(answer(&[1]), None);
        assert_eq!(answer(&[1, GET_VERSION, 0, 0]), None);
    }
}
