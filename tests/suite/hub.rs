//! A small hub on loopback: what `hf-hub` asks of the real one, and the ways in which it can fail.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use sha2::{Digest, Sha256};

/// The commit that the hub's `main` is at.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How the hub behaves.
#[derive(Default)]
pub(crate) struct Behaviour {
    /// Answers 401 to whoever does not bring this token.
    pub(crate) token: Option<&'static str>,
    /// Breaks off after half of the first answers with a large file, this many times.
    pub(crate) interruptions: usize,
    /// Answers the first requests with this status, this many times.
    pub(crate) failures: (usize, u16),
    /// Announces checksums that are not those of the files.
    pub(crate) lies: bool,
}

/// A hub that serves one repository, and counts what it was asked.
pub(crate) struct Hub {
    pub(crate) endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
}

struct Served {
    repository: &'static str,
    files: BTreeMap<String, Vec<u8>>,
    behaviour: Behaviour,
    interrupted: AtomicUsize,
    failed: AtomicUsize,
    requests: Arc<Mutex<Vec<String>>>,
}

struct Request {
    path: String,
    range: Option<(usize, Option<usize>)>,
    token: Option<String>,
}

impl Hub {
    /// Serves `files` as `repository` until the test's process ends.
    pub(crate) fn serve(repository: &'static str, files: BTreeMap<String, Vec<u8>>, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let served = Served {
            repository,
            files,
            behaviour,
            interrupted: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            requests: Arc::clone(&requests),
        };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that goes away early is part of what is tested.
                drop(served.answer(stream));
            }
        });
        Self { endpoint, requests }
    }

    /// The paths asked for so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic while counting").clone()
    }
}

impl Served {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let Some(request) = read_request(&stream)? else { return Ok(()) };
        self.requests.lock().expect("no panic while counting").push(request.path.clone());
        if self.behaviour.token.is_some_and(|token| request.token.as_deref() != Some(token)) {
            return head(&mut stream, "401 Unauthorized", &[]);
        }
        let (failures, status) = self.behaviour.failures;
        if self.failed.fetch_add(1, Ordering::SeqCst) < failures {
            return head(&mut stream, &format!("{status} Failure"), &[]);
        }
        let info = format!("/api/models/{}/revision/", self.repository);
        let resolve = format!("/{}/resolve/", self.repository);
        if request.path.starts_with(&info) {
            let siblings: Vec<_> = self.files.keys().map(|name| serde_json::json!({ "rfilename": name })).collect();
            let body = serde_json::json!({ "sha": COMMIT, "siblings": siblings }).to_string();
            let length = body.len().to_string();
            head(&mut stream, "200 OK", &[("Content-Type", "application/json"), ("Content-Length", &length)])?;
            return stream.write_all(body.as_bytes());
        }
        if let Some(file) = request.path.strip_prefix(&resolve).and_then(|rest| rest.split_once('/')) {
            return self.redirect(&mut stream, file.1);
        }
        match request.path.strip_prefix("/cached/").or_else(|| request.path.strip_prefix("/storage/")) {
            Some(file) => self.send(&mut stream, file, &request),
            None => head(&mut stream, "404 Not Found", &[]),
        }
    }

    /// As the real hub does: small files by a relative redirect, large ones to storage elsewhere, with what is known
    /// of them in the headers of the redirect.
    fn redirect(&self, stream: &mut TcpStream, file: &str) -> std::io::Result<()> {
        let Some(content) = self.files.get(file) else { return head(stream, "404 Not Found", &[]) };
        if !is_large(file) {
            return head(stream, "307 Temporary Redirect", &[("Location", &format!("/cached/{file}"))]);
        }
        let etag = if self.behaviour.lies { "0".repeat(64) } else { sha256(content) };
        let host = stream.local_addr()?;
        let location = format!("http://{host}/storage/{file}");
        let headers = [
            ("Location", location.as_str()),
            ("X-Repo-Commit", COMMIT),
            ("X-Linked-Etag", &format!("\"{etag}\"")),
            ("X-Linked-Size", &content.len().to_string()),
        ];
        head(stream, "302 Found", &headers)
    }

    fn send(&self, stream: &mut TcpStream, file: &str, request: &Request) -> std::io::Result<()> {
        let Some(content) = self.files.get(file) else { return head(stream, "404 Not Found", &[]) };
        let (start, end) = request.range.unwrap_or((0, None));
        if start >= content.len() {
            return head(stream, "416 Range Not Satisfiable", &[]);
        }
        let end = end.map_or(content.len(), |end| (end + 1).min(content.len()));
        let headers = [
            ("Content-Range", format!("bytes {start}-{}/{}", end - 1, content.len())),
            ("Content-Length", (end - start).to_string()),
            ("ETag", format!("\"{}\"", &sha256(content)[..40])),
            ("X-Repo-Commit", COMMIT.to_owned()),
        ];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        head(stream, "206 Partial Content", &headers)?;
        let whole = end - start > 1 && is_large(file);
        if whole && self.interrupted.fetch_add(1, Ordering::SeqCst) < self.behaviour.interruptions {
            return stream.write_all(&content[start..start + (end - start) / 2]);
        }
        stream.write_all(&content[start..end])
    }
}

fn is_large(file: &str) -> bool {
    file.ends_with(".safetensors") || file.ends_with(".bin")
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn head(stream: &mut TcpStream, status: &str, headers: &[(&str, &str)]) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !headers.iter().any(|(name, _)| *name == "Content-Length") {
        text += "Content-Length: 0\r\n";
    }
    stream.write_all(format!("{text}\r\n").as_bytes())
}

fn read_request(stream: &TcpStream) -> std::io::Result<Option<Request>> {
    let mut lines = BufReader::new(stream.take(1 << 16)).lines();
    let Some(first) = lines.next().transpose()? else { return Ok(None) };
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut request = Request { path, range: None, token: None };
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => request.range = parse_range(value),
            "authorization" => request.token = value.strip_prefix("Bearer ").map(str::to_owned),
            _ => {}
        }
    }
    Ok(Some(request))
}

fn parse_range(value: &str) -> Option<(usize, Option<usize>)> {
    let (start, end) = value.strip_prefix("bytes=")?.split_once('-')?;
    Some((start.parse().ok()?, end.parse().ok()))
}
