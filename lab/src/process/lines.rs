// SPDX-License-Identifier: MIT OR Apache-2.0
//! A pipe as lines, in bounded memory.

use super::LINE_MAX;
use crate::error::Result;
use std::io::PipeReader;
use std::os::fd::OwnedFd;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

const CHUNK: usize = 64 * 1024;

/// Lines of a pipe. `line` is being gathered, `chunk[at..filled]` is not yet looked at.
#[derive(Debug)]
pub(super) struct Lines {
    pipe: Receiver,
    chunk: Box<[u8]>,
    at: usize,
    filled: usize,
    line: Vec<u8>,
    /// `line` has been handed out and begins anew.
    handed: bool,
    ended: bool,
}

impl Lines {
    pub(super) fn new(pipe: PipeReader) -> Result<Self> {
        Ok(Self {
            pipe: Receiver::from_owned_fd(OwnedFd::from(pipe))?,
            chunk: vec![0; CHUNK].into_boxed_slice(),
            at: 0,
            filled: 0,
            line: Vec::new(),
            handed: false,
            ended: false,
        })
    }

    /// The next line; a last one without newline counts. Safe to cancel: state changes only between waits.
    pub(super) async fn next(&mut self) -> Option<&[u8]> {
        if std::mem::take(&mut self.handed) {
            self.line.clear();
        }
        while !self.take_line() {
            if self.ended {
                return None;
            }
            self.at = 0;
            self.filled = 0;
            self.filled = self.pipe.read(&mut self.chunk).await.unwrap_or(0);
            self.ended = self.filled == 0;
        }
        Some(&self.line)
    }

    /// Moves bytes from the chunk to the line; true when the line is whole.
    fn take_line(&mut self) -> bool {
        let rest = &self.chunk[self.at..self.filled];
        let newline = memchr(rest);
        let part = &rest[..newline.unwrap_or(rest.len())];
        let room = LINE_MAX - self.line.len();
        self.line.extend_from_slice(&part[..part.len().min(room)]);
        self.at += part.len() + usize::from(newline.is_some());
        self.handed = newline.is_some() || (self.ended && !self.line.is_empty());
        self.handed
    }
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
}
