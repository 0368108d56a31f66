// SPDX-License-Identifier: MIT OR Apache-2.0
//! One request and its answer, appended to what is there.

use super::download::{Download, Progress, size_of};
use crate::error::{Doing, Error, Result};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, RANGE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

/// Why an attempt did not bring the whole file.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another one may.
    Again {
        /// Why, for people.
        why: String,
        /// How long the server asks to be left alone.
        wait: Option<Duration>,
    },
    /// No other one will.
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Final(error)
    }
}

fn again(why: impl Into<String>) -> Failure {
    let why = why.into();
    Failure::Again { why, wait: None }
}

/// A client with this download's bounds.
pub(super) fn client(wanted: &Download) -> Result<Client> {
    // Whoever comes second finds it installed, and that is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .connect_timeout(wanted.limits.stall)
        .read_timeout(wanted.limits.stall)
        .redirect(reqwest::redirect::Policy::limited(wanted.limits.redirects))
        .user_agent(concat!("lab/", env!("CARGO_PKG_VERSION")));
    if !wanted.proxies {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| Error::rig(chain(&error)).doing("set up the HTTP client"))
}

/// Asks for what is missing and appends it to `part`. `Ok` when the server says that this was all.
pub(super) async fn attempt(
    client: &Client,
    wanted: &Download,
    part: &Path,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> std::result::Result<(), Failure> {
    let have = size_of(part);
    let mut request = client.get(&wanted.url).header(ACCEPT_ENCODING, "identity");
    if have > 0 {
        request = request.header(RANGE, format!("bytes={have}-"));
    }
    let response = request.send().await.map_err(sending)?;
    let (start, whole) = match answer(&response, have)? {
        Answer::From(start, whole) => (start, whole),
        // The part is as long as the file, or longer: its checksum tells.
        Answer::NothingMore => return Ok(()),
    };
    if whole.is_some_and(|whole| whole > wanted.limits.bytes) {
        return Err(too_large(wanted).into());
    }
    let file = open_at(part, start).doing(|| format!("write {}", part.display()))?;
    receive(response, file, start, whole, wanted, progress).await
}

enum Answer {
    /// The body begins at this byte of the file, which has so many in all, where that is known.
    From(u64, Option<u64>),
    NothingMore,
}

fn answer(response: &Response, have: u64) -> std::result::Result<Answer, Failure> {
    let status = response.status();
    match status {
        // A server that ignores the range sends all of it again.
        StatusCode::OK => Ok(Answer::From(0, response.content_length())),
        StatusCode::PARTIAL_CONTENT => match range(response) {
            Some((start, whole)) if start == have => Ok(Answer::From(start, whole)),
            _ => Err(again("the server sent another range than asked for")),
        },
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => Ok(Answer::NothingMore),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Err(busy(response)),
        _ if status.is_server_error() => Err(busy(response)),
        _ => Err(Error::rig(format!("the server answered {status}"))
            .hint("check the address")
            .into()),
    }
}

/// First byte and whole size in `Content-Range: bytes 5-9/10`.
fn range(response: &Response) -> Option<(u64, Option<u64>)> {
    let text = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (span, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = span.split_once('-')?;
    Some((start.parse().ok()?, whole.parse().ok()))
}

fn busy(response: &Response) -> Failure {
    let seconds = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Failure::Again {
        why: format!("the server answered {}", response.status()),
        wait: seconds.map(Duration::from_secs),
    }
}

fn open_at(part: &Path, start: u64) -> std::io::Result<File> {
    if let Some(dir) = part.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(part)?;
    file.set_len(start)?;
    file.seek(SeekFrom::Start(start))?;
    Ok(file)
}

async fn receive(
    mut response: Response,
    mut file: File,
    start: u64,
    whole: Option<u64>,
    wanted: &Download,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> std::result::Result<(), Failure> {
    let mut here = start;
    while let Some(bytes) = response.chunk().await.map_err(sending)? {
        here += bytes.len() as u64;
        if here > wanted.limits.bytes {
            return Err(too_large(wanted).into());
        }
        file.write_all(&bytes).doing(|| "write what came")?;
        progress(Progress::Receiving { here, of: whole });
    }
    match whole {
        Some(whole) if here < whole => Err(again(format!("cut after {here} of {whole} bytes"))),
        _ => Ok(()),
    }
}

fn too_large(wanted: &Download) -> Error {
    Error::rig(format!(
        "the file is larger than {} bytes",
        wanted.limits.bytes
    ))
    .hint("check the address")
}

/// A connection that failed may come back; a redirect loop or a bad address does not.
fn sending(error: reqwest::Error) -> Failure {
    let hopeless = error.is_redirect() || error.is_builder();
    let error = error.without_url();
    match hopeless {
        true => Failure::Final(Error::rig(chain(&error)).hint("check the address")),
        false if error.is_timeout() => again("the server went silent"),
        false => again(chain(&error)),
    }
}

/// An error with what caused it; the client's own text leaves that out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        out.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    out
}

/// Most bytes of a short text.
const TEXT: usize = 8 << 20;

/// Reads a short text whole, in one attempt.
pub(super) async fn text(wanted: &Download) -> Result<String> {
    let failed = |error: reqwest::Error| {
        Error::rig(chain(&error.without_url()))
            .hint("check the network, or give a tree with --tree")
    };
    let mut response = client(wanted)?
        .get(&wanted.url)
        .send()
        .await
        .and_then(Response::error_for_status)
        .map_err(failed)?;
    let mut out = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(failed)? {
        out.extend_from_slice(&bytes);
        if out.len() > TEXT {
            return Err(Error::rig(format!("it is longer than {TEXT} bytes")));
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}
