//! One Postgres, and one pgbouncer in front of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::Process;
use crate::{port, wait_until};

/// One Postgres, on a port of its own for as long as this handle lives. Its database and its user
/// are both called `pixelrush`.
#[derive(Debug)]
pub struct PostgresServer {
    port: u16,
    folder: TempDir,
    process: Option<Process>,
}

/// How many connections it takes, besides those of its own administrator.
const CONNECTIONS: u32 = 200;

impl PostgresServer {
    /// The password of its user, until [`PostgresServer::set_password`].
    pub const PASSWORD: &'static str = "first";

    /// Starts one whose data is lost with a crash of the machine, not of the server.
    pub fn start() -> Self {
        let folder = folder();
        fs::write(folder.path().join("password"), Self::PASSWORD).expect("a file");
        let data = folder.path().join("data");
        let made = as_account(&program("initdb"))
            .arg("--pgdata")
            .arg(&data)
            .args(["--username", "pixelrush", "--auth", "scram-sha-256"])
            .args(["--encoding", "UTF8", "--no-locale", "--no-sync"])
            .arg("--pwfile")
            .arg(folder.path().join("password"))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .status();
        assert!(made.is_ok_and(|made| made.success()), "initdb failed");
        // The test's own look at what is there needs no password, and is not counted by it.
        let access = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), access).expect("a file");
        make_certificates(folder.path());
        let mut server = Self {
            port: port::free(),
            folder,
            process: None,
        };
        server.restart();
        server
            .ask("postgres", "CREATE DATABASE pixelrush")
            .expect("a database");
        server
    }

    /// Where it is, without a password.
    pub fn url(&self) -> String {
        format!("postgres://pixelrush@127.0.0.1:{}/pixelrush", self.port)
    }

    /// The certificate that signed the server's, in a file.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Ends it at once, as a crash does: every connection is cut.
    pub fn kill(&mut self) {
        let Some(process) = self.process.take() else {
            return;
        };
        process.signal(Signal::QUIT);
        let lock = self.folder.path().join("data/postmaster.pid");
        wait_until("Postgres is gone", || (!lock.exists()).then_some(()));
    }

    /// Starts it again with what is on its disk. One that runs is killed first.
    pub fn restart(&mut self) {
        self.kill();
        let folder = self.folder.path().display();
        let settings = [
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={folder}"),
            format!("max_connections={CONNECTIONS}"),
            "superuser_reserved_connections=0".to_owned(),
            "fsync=off".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={folder}/server.pem"),
            format!("ssl_key_file={folder}/server.key"),
        ];
        let mut arguments = vec!["-D".to_owned(), format!("{folder}/data")];
        for setting in settings {
            arguments.extend(["-c".to_owned(), setting]);
        }
        self.process = Some(start(&program("postgres"), "postgresql", arguments));
        wait_until("Postgres answers", || self.ask("postgres", "SELECT 1"));
    }

    /// Runs SQL as its administrator, for a test's own look at what is there: rows are lines,
    /// columns are separated by `|`.
    ///
    /// # Panics
    /// It fails.
    pub fn query(&self, sql: &str) -> String {
        self.ask("pixelrush", sql).expect("Postgres answers")
    }

    /// How many connections of clients Postgres counts, of those that came over the network.
    pub fn connections(&self) -> u32 {
        let sql = "SELECT count(*) FROM pg_stat_activity \
                   WHERE backend_type = 'client backend' AND client_addr IS NOT NULL";
        self.query(sql).trim().parse().expect("a number")
    }

    /// Gives its user another password. Connections that are there stay.
    pub fn set_password(&self, password: &str) {
        self.query(&format!("ALTER USER pixelrush PASSWORD '{password}'"));
    }

    fn ask(&self, database: &str, sql: &str) -> Option<String> {
        let output = Command::new("psql")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--username", "pixelrush", "--dbname", database])
            .arg("--host")
            .arg(self.folder.path())
            .args(["--port", &self.port.to_string(), "--command", sql])
            .env("PGCONNECT_TIMEOUT", "5")
            .output()
            .expect("no psql: install postgresql-client (`cargo xtask test` does it)");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(text)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One pgbouncer in transaction mode in front of a Postgres.
#[derive(Debug)]
pub struct Pgbouncer {
    port: u16,
    _folder: TempDir,
    _process: Process,
}

impl Pgbouncer {
    /// Starts one with `connections` connections to `server`.
    pub fn start(server: &PostgresServer, connections: u32) -> Self {
        let folder = folder();
        let port = port::free();
        let users = format!("\"pixelrush\" \"{}\"\n", PostgresServer::PASSWORD);
        fs::write(folder.path().join("users"), users).expect("a file");
        let settings = format!(
            "[databases]\n\
             pixelrush = host=127.0.0.1 port={} dbname=pixelrush\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {folder}/users\n\
             pool_mode = transaction\ndefault_pool_size = {connections}\n\
             max_client_conn = 500\nlogfile = {folder}/log\n",
            server.port,
            folder = folder.path().display(),
        );
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, settings).expect("a file");
        let arguments = vec![file.display().to_string()];
        let bouncer = Self {
            port,
            _process: start(&program("pgbouncer"), "pgbouncer", arguments),
            _folder: folder,
        };
        wait_until("pgbouncer listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        bouncer
    }

    /// Where it is, without a password.
    pub fn url(&self) -> String {
        format!("postgres://pixelrush@127.0.0.1:{}/pixelrush", self.port)
    }
}

/// A folder that the account may write to.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    if is_root() {
        let (user, group) = account();
        chown(folder.path(), Some(user), Some(group)).expect("the folder is ours");
    }
    folder
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Numbers of the account's user and group.
fn account() -> (u32, u32) {
    let all = fs::read_to_string("/etc/passwd").expect("a list of accounts");
    let line = all.lines().find_map(|line| line.strip_prefix("postgres:"));
    let mut numbers = line.into_iter().flat_map(|line| line.split(':').skip(1));
    let mut number = || numbers.next()?.parse().ok();
    let found = number().zip(number());
    found.expect("no user postgres: install postgresql (`cargo xtask test` does it)")
}

/// Where Debian has it, or the path.
fn program(name: &str) -> String {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<PathBuf> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin").join(name)))
        .chain([Path::new("/usr/sbin").join(name)])
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    let newest = found.pop();
    newest.map_or(name.to_owned(), |path| path.display().to_string())
}

/// `program`, as the account if this is root.
fn as_account(program: &str) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let (user, group) = account();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user.to_string(), "--regid", &group.to_string()]);
    command.args(["--clear-groups", program]);
    command
}

fn start(program: &str, package: &str, arguments: Vec<String>) -> Process {
    let command = as_account(program);
    let mut all: Vec<String> = command
        .get_args()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    all.extend(arguments);
    let first = command.get_program().to_string_lossy().into_owned();
    Process::start(&first, package, &all)
}

/// A root certificate, and the server's, for `127.0.0.1` and `localhost`.
fn make_certificates(folder: &Path) {
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1\n";
    fs::write(folder.join("names"), names).expect("a file");
    let key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ];
    openssl(
        folder,
        &[
            &["req", "-x509", "-days", "30"],
            &key[..],
            &["-subj", "/CN=root", "-keyout", "ca.key", "-out", "ca.pem"],
        ]
        .concat(),
    );
    openssl(
        folder,
        &[
            &["req"],
            &key[..],
            &[
                "-subj",
                "/CN=localhost",
                "-keyout",
                "server.key",
                "-out",
                "server.csr",
            ],
        ]
        .concat(),
    );
    openssl(
        folder,
        &[
            "x509",
            "-req",
            "-days",
            "30",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            "names",
            "-out",
            "server.pem",
        ],
    );
    let key = folder.join("server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("the key is ours");
    if is_root() {
        let (user, group) = account();
        chown(&key, Some(user), Some(group)).expect("the key is ours");
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let done = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .status();
    let done = done.expect("no openssl: install openssl (`cargo xtask test` does it)");
    assert!(done.success(), "openssl {arguments:?} failed");
}
