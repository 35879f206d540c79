//! Passwords and TLS over the wire: who is let in, and what does not help.

mod harness;

use harness::{InProcess, code, runtime};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use ring::digest;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_postgres::config::{ChannelBinding as Binds, SslMode};
use tokio_postgres::{Client, Config, NoTls};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use tokio_rustls::{TlsConnector, client};

/// Found nowhere but in what clients send.
const PASSWORD: &str = "correct-horse-battery-staple";

/// A server's certificate and the CA that signed it.
struct Certificates {
    directory: tempfile::TempDir,
}

impl Certificates {
    fn new() -> Certificates {
        let directory = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = format!("a CA in {}", directory.path().display());
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        std::fs::write(directory.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(params, key);
        let mut params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "localhost");
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        std::fs::write(directory.path().join("server.pem"), certificate.pem()).unwrap();
        std::fs::write(directory.path().join("server.key"), key.serialize_pem()).unwrap();
        Certificates { directory }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn given(&self, config: evesql::config::Config) -> evesql::config::Config {
        let (tls_cert, tls_key) = (Some(self.path("server.pem")), Some(self.path("server.key")));
        evesql::config::Config { tls_cert, tls_key, ..config }
    }

    /// A client's side, which trusts this CA; `at_once` names the protocol.
    fn trusting(&self, at_once: bool) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        if at_once {
            config.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Arc::new(config).into()
    }
}

/// TLS as tokio-postgres wants it.
struct Tls(TlsConnector);
struct Secured(client::TlsStream<TcpStream>);

impl tokio_postgres::tls::TlsConnect<TcpStream> for Tls {
    type Stream = Secured;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Secured>> + Send>>;
    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            let name = ServerName::try_from("localhost").unwrap();
            self.0.connect(name, stream).await.map(Secured)
        })
    }
}

impl tokio_postgres::tls::TlsStream for Secured {
    fn channel_binding(&self) -> tokio_postgres::tls::ChannelBinding {
        let certificates = self.0.get_ref().1.peer_certificates().unwrap();
        let hash = digest::digest(&digest::SHA256, &certificates[0]);
        tokio_postgres::tls::ChannelBinding::tls_server_end_point(hash.as_ref().to_vec())
    }
}

impl AsyncRead for Secured {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

type Tried = Result<Client, tokio_postgres::Error>;

fn config(user: &str, password: &str) -> Config {
    let mut config = Config::new();
    config.user(user).password(password).dbname("evesql");
    config
}

/// A client with a password, without TLS.
async fn log_in(address: SocketAddr, user: &str, password: &str) -> Tried {
    let (client, connection) = config(user, password).host("127.0.0.1").port(address.port()).connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The same over TLS, with its proof bound to the certificate.
async fn log_in_secured(stream: TcpStream, user: &str, password: &str, certificates: &Certificates) -> Tried {
    let mut config = config(user, password);
    config.ssl_mode(SslMode::Require).channel_binding(Binds::Require);
    let (client, connection) = config.connect_raw(stream, Tls(certificates.trusting(false))).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// An address of this machine that is not loopback: a client that comes from there is a stranger to a server on loopback.
fn another_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent.
    socket.connect("192.0.2.77:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
}

/// A connection from elsewhere.
async fn from_afar(address: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((another_address()?, 0))).ok()?;
    socket.connect(address).await.ok()
}

async fn told(client: &Client, sql: &str) -> String {
    client.query_one(sql, &[]).await.unwrap().get::<_, String>(0)
}

/// Whether some file below a directory holds these bytes.
fn is_in_files(directory: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => is_in_files(&path, needle),
            false => std::fs::read(&path).unwrap().windows(needle.len()).any(|bytes| bytes == needle),
        }
    })
}

#[test]
fn a_role_with_a_password_is_nobodys_without_it_and_the_password_is_nowhere() {
    let server = InProcess::start(|config| config);
    let address = server.address();
    runtime().block_on(async {
        let trusted = harness::connect(address).await;
        trusted.batch_execute(&format!("CREATE ROLE ann LOGIN PASSWORD '{PASSWORD}'")).await.unwrap();
        // By Parse, Bind and Execute, too.
        trusted.execute(&format!("CREATE USER bob PASSWORD '{PASSWORD}' VALID UNTIL '2001-01-01'"), &[]).await.unwrap();
        trusted.batch_execute("CREATE ROLE staff; ").await.unwrap();
        let client = log_in(address, "ann", PASSWORD).await.unwrap();
        assert_eq!(told(&client, "SELECT current_user::text").await, "ann");
        for (user, password, expected) in [
            ("ann", "correct-horse-battery-stapl", "28P01"),
            ("ann", "", "28P01"),
            // Its time is over.
            ("bob", PASSWORD, "28P01"),
            // It cannot log in, and needs no password to learn that here.
            ("staff", "", "28000"),
        ] {
            let refused = log_in(address, user, password).await.err().unwrap();
            assert_eq!(code(&refused), expected, "{user}");
            if expected == "28P01" {
                let message = refused.as_db_error().unwrap().message();
                assert_eq!(message, format!("password authentication failed for user \"{user}\""));
            }
        }
        // Who has no role is trusted on this machine, and may do everything.
        let stranger = log_in(address, "zoe", "").await.unwrap();
        stranger.batch_execute("ALTER ROLE ann PASSWORD 'another'").await.unwrap();
        assert_eq!(code(&log_in(address, "ann", PASSWORD).await.err().unwrap()), "28P01");
        assert!(log_in(address, "ann", "another").await.is_ok());
        let kept = "SELECT rolpassword FROM pg_authid WHERE rolname = 'ann'";
        let verifier = told(&stranger, kept).await;
        assert!(verifier.starts_with("SCRAM-SHA-256$4096:"), "{verifier}");
        // What is kept of a password is taken as it is, and is no password.
        stranger.batch_execute(&format!("CREATE ROLE eve LOGIN PASSWORD '{verifier}'")).await.unwrap();
        assert!(log_in(address, "eve", "another").await.is_ok());
        assert_eq!(code(&log_in(address, "eve", &verifier).await.err().unwrap()), "28P01");
        stranger.batch_execute("ALTER ROLE ann PASSWORD NULL").await.unwrap();
        assert!(log_in(address, "ann", "").await.is_ok());
    });
    let server = server.restart(|config| config);
    let address = server.address();
    runtime().block_on(async {
        assert!(log_in(address, "eve", "another").await.is_ok());
        assert_eq!(code(&log_in(address, "eve", "other").await.err().unwrap()), "28P01");
    });
    let files = server.end();
    assert!(is_in_files(files.path(), b"SCRAM-SHA-256$4096:"), "roles are in the files");
    assert!(!is_in_files(files.path(), PASSWORD.as_bytes()), "and no password");
}

#[test]
fn the_owner_of_the_system_may_have_a_password_too() {
    let server = InProcess::start(|config| config);
    let address = server.address();
    runtime().block_on(async {
        let trusted = harness::connect(address).await;
        trusted.batch_execute(&format!("ALTER USER evesql PASSWORD '{PASSWORD}'")).await.unwrap();
        assert!(log_in(address, "evesql", PASSWORD).await.is_ok());
        assert_eq!(code(&log_in(address, "evesql", "guess").await.err().unwrap()), "28P01");
    });
}

#[test]
fn scram_for_everybody_lets_nobody_in_without_a_password() {
    let server = InProcess::start(|config| config);
    let address = server.address();
    runtime().block_on(async {
        let trusted = harness::connect(address).await;
        let roles = format!("CREATE ROLE root LOGIN SUPERUSER PASSWORD '{PASSWORD}'");
        trusted.batch_execute(&roles).await.unwrap();
        trusted.batch_execute("CREATE ROLE bare LOGIN").await.unwrap();
    });
    let server = server.restart(|config| evesql::config::Config { auth: evesql::config::Auth::Scram, ..config });
    let address = server.address();
    runtime().block_on(async {
        let root = log_in(address, "root", PASSWORD).await.unwrap();
        for user in ["evesql", "bare", "nobody"] {
            assert_eq!(code(&log_in(address, user, "x").await.err().unwrap()), "28P01", "{user}");
        }
        root.batch_execute("ALTER ROLE bare PASSWORD 'x'").await.unwrap();
        assert!(log_in(address, "bare", "x").await.is_ok());
    });
}

#[test]
fn tls_carries_whole_sessions_and_binds_the_proof_to_the_certificate() {
    let certificates = Certificates::new();
    let server = InProcess::start(|config| certificates.given(config));
    let address = server.address();
    runtime().block_on(async {
        let trusted = harness::connect(address).await;
        trusted.batch_execute(&format!("CREATE ROLE ann LOGIN SUPERUSER PASSWORD '{PASSWORD}'")).await.unwrap();
        let connect = || TcpStream::connect(address);
        let client = log_in_secured(connect().await.unwrap(), "ann", PASSWORD, &certificates).await.unwrap();
        client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, text text)").await.unwrap();
        // More than any buffer on the way, there and back.
        let long = "x".repeat(3_000_000);
        client.execute("INSERT INTO t VALUES (1, $1)", &[&long]).await.unwrap();
        assert_eq!(told(&client, "SELECT text FROM t").await, long);
        let rows = client.query("SELECT g, repeat('y', 100) FROM generate_series(1, 20000) AS g", &[]).await.unwrap();
        assert_eq!(rows.len(), 20_000);
        let refused = log_in_secured(connect().await.unwrap(), "ann", "guess", &certificates).await;
        assert_eq!(code(&refused.err().unwrap()), "28P01");
        // A client that knows another CA goes away by itself.
        let stranger = Certificates::new();
        let refused = log_in_secured(connect().await.unwrap(), "ann", PASSWORD, &stranger).await.err().unwrap();
        assert!(refused.to_string().contains("TLS"), "{refused}");
        // Without TLS as before.
        assert!(log_in(address, "ann", PASSWORD).await.is_ok());
        // A statement is stopped over TLS as well.
        let token = client.cancel_token();
        let endless = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) FROM c";
        let slow = client.batch_execute(endless);
        let stop = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let stream = connect().await.unwrap();
            token.cancel_query_raw(stream, Tls(certificates.trusting(false))).await.unwrap();
        };
        let (slow, ()) = futures::join!(slow, stop);
        assert_eq!(code(&slow.unwrap_err()), "57014");
    });
}

#[test]
fn tls_may_begin_at_once_if_the_protocol_is_named() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let certificates = Certificates::new();
    let server = InProcess::start(|config| certificates.given(config));
    let address = server.address();
    let startup = startup("zoe");
    runtime().block_on(async {
        let begin = async |at_once: bool| {
            let stream = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let mut stream = certificates.trusting(at_once).connect(name, stream).await?;
            stream.write_all(&startup).await?;
            let mut answer = [0];
            stream.read_exact(&mut answer).await.map(|_| answer[0])
        };
        assert_eq!(begin(true).await.unwrap(), b'R');
        assert!(begin(false).await.is_err());
    });
}

#[test]
fn strangers_need_tls_and_a_password() {
    let certificates = Certificates::new();
    let server = InProcess::start(|config| certificates.given(config));
    if another_address().is_none() {
        eprintln!("this machine has no address but loopback: nobody can come from elsewhere");
        return;
    }
    let prepare = async |address: SocketAddr| {
        let trusted = harness::connect(address).await;
        trusted.batch_execute(&format!("CREATE ROLE ann LOGIN PASSWORD '{PASSWORD}'")).await.unwrap();
        trusted.batch_execute("CREATE ROLE bare LOGIN SUPERUSER").await.unwrap();
    };
    let plain = async |address: SocketAddr, user: &str, password: &str| {
        let stream = from_afar(address).await.unwrap();
        let (client, connection) = config(user, password).connect_raw(stream, NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute("SELECT 1").await
    };
    let outcome = |tried: Result<(), tokio_postgres::Error>| tried.map_or_else(|error| code(&error), |()| "in".into());
    runtime().block_on(async {
        let address = server.address();
        prepare(address).await;
        let secured = async |user: &str, password: &str| {
            let stream = from_afar(address).await.unwrap();
            log_in_secured(stream, user, password, &certificates).await.map(|_| ())
        };
        assert_eq!(outcome(secured("ann", PASSWORD).await), "in");
        assert_eq!(outcome(secured("ann", "guess").await), "28P01");
        for user in ["bare", "evesql", "nobody"] {
            assert_eq!(outcome(secured(user, "").await), "28P01", "{user}");
        }
        let refused = plain(address, "ann", PASSWORD).await.unwrap_err();
        let error = refused.as_db_error().unwrap();
        assert_eq!((error.code().code(), error.hint()), ("28000", Some("Connect with sslmode=require.")));
    });
    let server = server.restart(|config| evesql::config::Config { plain_clients: true, ..config });
    runtime().block_on(async {
        let address = server.address();
        assert_eq!(outcome(plain(address, "ann", PASSWORD).await), "in");
        assert_eq!(outcome(plain(address, "ann", "guess").await), "28P01");
        assert_eq!(outcome(plain(address, "bare", "").await), "28P01");
    });
    let server = server.restart(|config| evesql::config::Config { insecure: true, plain_clients: false, ..config });
    runtime().block_on(async {
        let address = server.address();
        assert_eq!(outcome(plain(address, "bare", "").await), "in");
        assert_eq!(outcome(plain(address, "nobody", "").await), "in");
        assert_eq!(outcome(plain(address, "ann", "").await), "28P01");
    });
}

/// A start-up packet.
fn startup(user: &str) -> Vec<u8> {
    let mut body = 196_608i32.to_be_bytes().to_vec();
    body.extend(format!("user\0{user}\0database\0evesql\0\0").bytes());
    let mut packet = (body.len() as i32 + 4).to_be_bytes().to_vec();
    packet.extend(body);
    packet
}

/// A client that says what it likes.
struct Raw(std::net::TcpStream);

impl Raw {
    fn start(address: SocketAddr, user: &str) -> Raw {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(&startup(user)).unwrap();
        Raw(stream)
    }

    fn send(&mut self, tag: u8, body: &[u8]) {
        let length = (body.len() as i32 + 4).to_be_bytes();
        self.0.write_all(&[&[tag], length.as_slice(), body].concat()).unwrap();
    }

    /// The next message; `None` at the end of the stream.
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.0.read_exact(&mut head).ok()?;
        let mut body = vec![0; i32::from_be_bytes(head[1..].try_into().unwrap()) as usize - 4];
        self.0.read_exact(&mut body).ok()?;
        Some((head[0], body))
    }

    /// The data of the next authentication message of this kind.
    fn asked(&mut self, kind: i32) -> Vec<u8> {
        let (tag, body) = self.next().expect("a message");
        assert_eq!((tag, &body[..4]), (b'R', kind.to_be_bytes().as_slice()), "{}", String::from_utf8_lossy(&body));
        body[4..].to_vec()
    }

    fn first(&mut self, message: &[u8]) {
        let length = (message.len() as i32).to_be_bytes();
        self.send(b'p', &[b"SCRAM-SHA-256\0".as_slice(), &length, message].concat());
    }

    /// The SQLSTATE of the error that ends the connection.
    fn refused(&mut self) -> String {
        let (tag, body) = self.next().expect("an error");
        assert_eq!(tag, b'E', "{}", String::from_utf8_lossy(&body));
        let code = body.split(|byte| *byte == 0).find(|field| field.first() == Some(&b'C')).unwrap();
        assert!(self.next().is_none(), "nothing follows");
        String::from_utf8_lossy(&code[1..]).into_owned()
    }
}

#[test]
fn what_is_tampered_with_or_replayed_does_not_help() {
    let server = InProcess::start(|config| config);
    let address = server.address();
    runtime().block_on(async {
        let trusted = harness::connect(address).await;
        trusted.batch_execute(&format!("CREATE ROLE ann LOGIN PASSWORD '{PASSWORD}'")).await.unwrap();
    });
    let begin = |nonce: &str| {
        let mut raw = Raw::start(address, "ann");
        raw.asked(10);
        raw.first(format!("n,,n=,r={nonce}").as_bytes());
        let answer = String::from_utf8(raw.asked(11)).unwrap();
        (raw, answer)
    };
    let exchange = || {
        let mut raw = Raw::start(address, "ann");
        raw.asked(10);
        let mut scram = ScramSha256::new(PASSWORD.as_bytes(), ChannelBinding::unsupported());
        raw.first(scram.message());
        scram.update(&raw.asked(11)).unwrap();
        (raw, scram)
    };
    // As it should be, to the end.
    let (mut raw, mut scram) = exchange();
    let right = scram.message().to_vec();
    raw.send(b'p', &right);
    scram.finish(&raw.asked(12)).unwrap();
    raw.asked(0);
    // The same words again, in another connection.
    let (mut raw, _) = exchange();
    raw.send(b'p', &right);
    assert_eq!(raw.refused(), "08P01");
    // The old proof under the new nonce; the client's part of it is the same in both.
    let old = String::from_utf8(right).unwrap();
    let own = old.split("r=").nth(1).unwrap().split(',').next().unwrap();
    let own = &own[..24];
    let (mut raw, answer) = begin(own);
    let nonce = answer.split(',').next().unwrap();
    let proof = old.rsplit_once(",p=").unwrap().1;
    raw.send(b'p', format!("c=biws,{nonce},p={proof}").as_bytes());
    assert_eq!(raw.refused(), "28P01");
    // One bit of the proof.
    let (mut raw, scram) = exchange();
    let mut message = scram.message().to_vec();
    let at = message.len() - 4;
    message[at] = if message[at] == b'A' { b'B' } else { b'A' };
    raw.send(b'p', &message);
    assert_eq!(raw.refused(), "28P01");
    // Bound to nothing as if to something.
    let (mut raw, scram) = exchange();
    let message = String::from_utf8(scram.message().to_vec()).unwrap().replace("c=biws", "c=eSws");
    raw.send(b'p', message.as_bytes());
    assert_eq!(raw.refused(), "28000");
    // Statements in place of a proof, and a message that is too long to be one.
    let mut raw = Raw::start(address, "ann");
    raw.asked(10);
    raw.send(b'Q', b"SELECT 1\0");
    assert_eq!(raw.refused(), "08P01");
    let mut raw = Raw::start(address, "ann");
    raw.asked(10);
    raw.send(b'p', &[b'x'; 10_000]);
    assert_eq!(raw.refused(), "08P01");
}

#[test]
fn a_name_without_a_role_looks_like_one_with_a_password() {
    let server = InProcess::start(|config| evesql::config::Config { auth: evesql::config::Auth::Trust, ..config });
    runtime().block_on(async {
        let trusted = harness::connect(server.address()).await;
        trusted.batch_execute(&format!("CREATE ROLE ann LOGIN PASSWORD '{PASSWORD}'")).await.unwrap();
    });
    let scram = |config| evesql::config::Config { auth: evesql::config::Auth::Scram, ..config };
    let mut server = server.restart(scram);
    let shown = |address: SocketAddr, user: &str| {
        let mut raw = Raw::start(address, user);
        let mechanisms = raw.asked(10);
        raw.first(b"n,,n=,r=abcdefghijklmnop");
        let answer = String::from_utf8(raw.asked(11)).unwrap();
        let salt = answer.split(',').nth(1).unwrap().to_owned();
        raw.send(b'p', format!("c=biws,{},p={}", answer.split(',').next().unwrap(), "A".repeat(43) + "=").as_bytes());
        (mechanisms, salt.len(), raw.refused(), salt)
    };
    let first = ["ann", "nobody", "evesql"].map(|user| shown(server.address(), user));
    assert!(first.iter().all(|seen| (&seen.0, seen.1, &seen.2) == (&first[0].0, first[0].1, &first[0].2)));
    assert_eq!(first[0].2, "28P01");
    assert_ne!(first[1].3, first[2].3);
    server = server.restart(scram);
    let again = ["ann", "nobody", "evesql"].map(|user| shown(server.address(), user));
    assert_eq!(first, again, "the salt is the same each time");
}

#[test]
fn psql_logs_in_with_tls_and_a_password() {
    if Command::new("psql").arg("--version").output().is_err() {
        eprintln!("psql is not installed");
        return;
    }
    let certificates = Certificates::new();
    let server = InProcess::start(|config| certificates.given(config));
    let address = server.address();
    let psql = |words: &str, password: &str, sql: &str| {
        let target = format!("host=localhost hostaddr=127.0.0.1 port={} dbname=evesql {words}", address.port());
        let mut command = Command::new("psql");
        let output = command.args([&target, "-AtXc", sql]).env("PGPASSWORD", password).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
        (text(output.stdout), text(output.stderr))
    };
    let made = psql("user=evesql", "", &format!("CREATE ROLE ann LOGIN PASSWORD '{PASSWORD}'"));
    assert_eq!(made.0, "CREATE ROLE", "{}", made.1);
    let ca = certificates.path("ca.pem");
    let verified = format!("user=ann sslmode=verify-full sslrootcert={}", ca.display());
    for words in [
        format!("{verified} channel_binding=require"),
        format!("{verified} ssl_max_protocol_version=TLSv1.2"),
        "user=ann sslmode=require".into(),
        "user=ann sslmode=disable".into(),
    ] {
        let (said, complained) = psql(&words, PASSWORD, "SELECT session_user");
        assert_eq!((said.as_str(), complained.as_str()), ("ann", ""), "{words}");
    }
    let (_, complained) = psql(&verified, "guess", "SELECT 1");
    assert!(complained.contains("FATAL:  password authentication failed for user \"ann\""), "{complained}");
    let other = Certificates::new();
    let words = format!("user=ann sslmode=verify-ca sslrootcert={}", other.path("ca.pem").display());
    let (_, complained) = psql(&words, PASSWORD, "SELECT 1");
    assert!(complained.contains("certificate verify failed"), "{complained}");
    let (said, complained) = psql("user=ann sslmode=require", PASSWORD, "\\conninfo");
    assert!(said.contains("SSL connection"), "{said} {complained}");
}

#[test]
fn a_socket_in_the_file_system_is_for_clients_of_this_machine() {
    let (certificates, directory) = (Certificates::new(), tempfile::tempdir().unwrap());
    let socket_dir = Some(directory.path().to_path_buf());
    let server = InProcess::start(|config| evesql::config::Config { socket_dir, ..certificates.given(config) });
    let port = server.address().port();
    let path = directory.path().join(format!(".s.PGSQL.{port}"));
    let to_socket = |user: &str, password: &str| {
        let mut config = config(user, password);
        config.host_path(directory.path()).port(port);
        config
    };
    let log_in = async |user: &str, password: &str| {
        let (client, connection) = to_socket(user, password).connect(NoTls).await?;
        tokio::spawn(connection);
        Ok::<Client, tokio_postgres::Error>(client)
    };
    runtime().block_on(async {
        let trusted = log_in("evesql", "").await.unwrap();
        trusted.batch_execute(&format!("CREATE ROLE ann LOGIN PASSWORD '{PASSWORD}'")).await.unwrap();
        assert!(log_in("ann", PASSWORD).await.is_ok());
        assert_eq!(code(&log_in("ann", "guess").await.err().unwrap()), "28P01");
        // More than a socket takes at once, both ways.
        let long = "y".repeat(4 << 20);
        let back: String = trusted.query_one("SELECT $1::text", &[&long]).await.unwrap().get(0);
        assert!(back == long);
        let canceller = trusted.cancel_token();
        let mut sleeping = std::pin::pin!(trusted.query("SELECT pg_sleep(600)", &[]));
        // Until it is met: one that comes before the statement does not concern it.
        let slept = loop {
            tokio::select! {
                slept = &mut sleeping => break slept,
                () = tokio::time::sleep(Duration::from_millis(200)) => canceller.cancel_query(NoTls).await.unwrap(),
            }
        };
        assert_eq!(code(&slept.err().unwrap()), "57014");
        // TLS is for networks.
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, &[0, 0, 0, 8, 4, 210, 22, 47]).await.unwrap();
        assert_eq!(tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap(), b'N');
    });
    let second = harness::run(&[
        "serve",
        "--data",
        directory.path().join("second").to_str().unwrap(),
        "--listen",
        &format!("127.0.0.2:{port}"),
        "--admin",
        "127.0.0.1:0",
        "--socket-dir",
        directory.path().to_str().unwrap(),
    ]);
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("cannot listen on {}", path.display())) && said.contains("--socket-dir"), "{said}");
    let server = server.power_cut();
    runtime().block_on(async {
        let (client, connection) = config("evesql", "")
            .host_path(directory.path())
            .port(server.address().port())
            .connect(NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        client.batch_execute("ALTER ROLE ann PASSWORD 'another'").await.unwrap();
    });
    drop(server.end());
    assert!(std::fs::read_dir(directory.path()).unwrap().all(|entry| entry.unwrap().file_name() == "second"));
}

#[test]
fn a_certificate_that_cannot_be_used_ends_the_program_with_a_sentence() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let data = tempfile::tempdir().unwrap();
    let run = |cert: &Path, key: &Path| {
        let (data, cert, key) = (data.path().to_str().unwrap(), cert.to_str().unwrap(), key.to_str().unwrap());
        let ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let words = [["serve", "--data", data].as_slice(), &ports, &["--tls-cert", cert, "--tls-key", key]].concat();
        let output = harness::run(&words);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (own, key) = (certificates.path("server.pem"), certificates.path("server.key"));
    for (cert, key, sentence) in [
        (&own, &others.path("server.key"), "does not fit the certificate in --tls-cert"),
        (&own, &certificates.path("none"), "cannot read --tls-key"),
        (&key, &key, "holds no certificate in PEM form"),
        (&own, &own, "holds no private key without a password"),
    ] {
        let (code, said) = run(cert, key);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(sentence), "{said}");
    }
}
