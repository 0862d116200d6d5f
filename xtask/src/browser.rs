//! The page and the client library, in node and in a real browser, against a real server.

use std::io::{BufRead, BufReader};
use std::process::Child;

use crate::install;
use crate::run::{Failed, cargo, command, root};

pub(crate) fn test() -> Result<(), Failed> {
    install::programs()?;
    install::node_packages()?;
    let path = install::node_path()?;
    command("sh", &["-c", "node --test *.test.js"])
        .inside("web/tests")
        .env("PATH", &path)
        .run()?;
    cargo(&["build", "--package", "pixelrush"])?;
    let mut server = Server::start()?;
    let shots = root().join("target/browser");
    std::fs::create_dir_all(&shots)
        .map_err(|error| Failed(format!("cannot make {}: {error}", shots.display())))?;
    let outcome = command(
        "node",
        &[
            "--test",
            // One after the other: they would meet in one queue.
            "--test-concurrency=1",
            "browser/events.mjs",
            "browser/ratings.mjs",
            "browser/events.mjs",
            "browser/private.mjs",
            "browser/race.mjs",
        ],
    )
    .inside("web/tests")
    .env("PATH", &path)
    .env("PIXELRUSH_URL", &server.url)
    .env("PIXELRUSH_SHOTS", &shots)
    .env("PIXELRUSH_CHROMIUM", install::browser()?)
    .run();
    server.stop();
    outcome
}

/// What `browser/events.mjs` buys a seat of.
const EVENTS: &str = r#"{ browser = { title = "Browser night", seats = 1, hold = "1m", opens_at = "2020-01-01T00:00:00Z", closes_at = "2090-01-01T00:00:00Z" } }"#;

struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Starts the main job on free ports and waits until it says where it is.
    fn start() -> Result<Self, Failed> {
        let binary = root().join("target/debug/pixelrush");
        let mut child = command(&binary.to_string_lossy(), &[])
            .env("PIXELRUSH_GATEWAY__LISTEN", "127.0.0.1:0")
            .env("PIXELRUSH_ADMIN__LISTEN", "127.0.0.1:0")
            .env("PIXELRUSH_MATCHER__EVENTS", EVENTS)
            .spawn()?;
        let output = child
            .stdout
            .take()
            .ok_or_else(|| Failed("no output to read".to_owned()))?;
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let url = lines.find_map(|line| {
            line.split_whitespace()
                .find(|word| word.starts_with("http://"))
                .map(str::to_owned)
        });
        match url {
            Some(url) => Ok(Self { child, url }),
            None => {
                let _ = child.kill();
                Err(Failed(
                    "the server ended without saying where it is".to_owned(),
                ))
            }
        }
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
