//! A connection on the Postgres wire that costs the machine little: one write and one read for a statement.
//!
//! Browsers share the machine with what they measure. The synchronous drivers hand each statement to a task behind a
//! channel and back; measured here that was more processor time than the answer took to compute. Messages are the
//! `postgres-protocol` crate's; what a connection knows beside them is its prepared statements.

use crate::value::{Row, Value};
use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{DataRowBody, ErrorFields, Message};
use postgres_protocol::message::frontend;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tokio_postgres::config::{Config, Host, LoadBalanceHosts, TargetSessionAttrs};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

/// Bytes read at once.
const READ_BYTES: usize = 16 << 10;
const PORT: u16 = 5432;
const CONNECT_WAIT: Duration = Duration::from_secs(10);
const BINARY: i16 = 1;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server says so; the connection goes on.
    #[error("{message} ({code})")]
    Server {
        /// SQLSTATE.
        code: String,
        /// Its sentence.
        message: String,
    },
    /// There is no connection any more.
    #[error("the connection is lost: {0}")]
    Gone(String),
    /// The server sent what this client does not understand, or asks for what it does not do.
    #[error("{0}")]
    Odd(String),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Gone(error.to_string())
    }
}

/// A statement that the server has parsed.
#[derive(Clone, Debug)]
pub struct Prepared {
    name: String,
    parameters: Vec<Type>,
    columns: Vec<Type>,
}

/// An answer: rows, and how many the statement returned or changed.
#[derive(Debug, Default)]
pub struct Answer {
    /// Rows, of statements that have some.
    pub rows: Vec<Row>,
    /// The number in the command's tag.
    pub count: u64,
}

/// What it goes over.
enum Stream {
    Tcp(TcpStream),
    /// A socket in the file system.
    Local(UnixStream),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Local(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Local(stream) => stream.write(bytes),
        }
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One connection.
pub struct Wire {
    stream: Stream,
    out: BytesMut,
    input: BytesMut,
    prepared: u64,
    is_lost: bool,
}

impl Wire {
    /// To the first server of these that takes a connection and is what is asked for.
    ///
    /// # Errors
    /// What the last of them said.
    pub fn connect(config: &Config) -> Result<Wire, Failure> {
        let mut last = Failure::Odd("the URL names no host".into());
        let (hosts, ports) = (config.get_hosts(), config.get_ports());
        let first = match config.get_load_balance_hosts() {
            LoadBalanceHosts::Random => std::time::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos() as usize,
            _ => 0,
        };
        for at in (0..hosts.len()).map(|at| (first + at) % hosts.len()) {
            let port = ports.get(at).or(ports.first()).copied().unwrap_or(PORT);
            match Wire::connect_to(config, &hosts[at], port) {
                Ok(wire) => return Ok(wire),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    fn connect_to(config: &Config, host: &Host, port: u16) -> Result<Wire, Failure> {
        let (name, stream) = match host {
            Host::Tcp(host) => (host.clone(), Stream::Tcp(tcp(config, host, port)?)),
            Host::Unix(directory) => {
                let path = directory.join(format!(".s.PGSQL.{port}"));
                (directory.display().to_string(), Stream::Local(UnixStream::connect(path)?))
            }
        };
        let (out, input) = (BytesMut::new(), BytesMut::with_capacity(READ_BYTES));
        let mut wire = Wire { stream, out, input, prepared: 0, is_lost: false };
        wire.start(config)?;
        if config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite {
            let mut read_only = false;
            wire.simple("SHOW transaction_read_only", |row| read_only |= row.buffer().ends_with(b"on"))?;
            if read_only {
                return Err(Failure::Odd(format!("{name}:{port} is read-only")));
            }
        }
        Ok(wire)
    }

    fn start(&mut self, config: &Config) -> Result<(), Failure> {
        let user = config.get_user().unwrap_or("postgres");
        let database = config.get_dbname().unwrap_or(user);
        let mut parameters =
            vec![("user", user), ("database", database), ("client_encoding", "UTF8"), ("application_name", "tpcw")];
        parameters.extend(config.get_options().map(|options| ("options", options)));
        frontend::startup_message(parameters, &mut self.out)?;
        self.flush()?;
        let password = || config.get_password().ok_or_else(|| Failure::Odd("the server asks for a password".into()));
        let mut scram = None;
        loop {
            match self.receive()? {
                Message::AuthenticationOk => break,
                Message::AuthenticationCleartextPassword => frontend::password_message(password()?, &mut self.out)?,
                Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(user.as_bytes(), password()?, body.salt());
                    frontend::password_message(hash.as_bytes(), &mut self.out)?;
                }
                Message::AuthenticationSasl(_) => {
                    let begun = scram.insert(ScramSha256::new(password()?, ChannelBinding::unsupported()));
                    frontend::sasl_initial_response(SCRAM_SHA_256, begun.message(), &mut self.out)?;
                }
                Message::AuthenticationSaslContinue(body) => {
                    let scram = scram.as_mut().ok_or_else(|| Failure::Odd("SCRAM goes on that never began".into()))?;
                    scram.update(body.data())?;
                    frontend::sasl_response(scram.message(), &mut self.out)?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    scram.as_mut().map_or(Ok(()), |scram| scram.finish(body.data()))?;
                }
                Message::ErrorResponse(body) => return Err(server_error(body.fields())),
                _ => return Err(Failure::Odd("the server asks for a way to log in that is not supported".into())),
            }
            self.flush()?;
        }
        self.until_ready(|_| Ok(()))
    }

    /// Whether it must be replaced by a new one.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Has a statement parsed.
    ///
    /// # Errors
    /// What the server finds wrong in it.
    pub fn prepare(&mut self, sql: &str) -> Result<Prepared, Failure> {
        self.prepared += 1;
        let mut prepared =
            Prepared { name: format!("s{}", self.prepared), parameters: Vec::new(), columns: Vec::new() };
        frontend::parse(&prepared.name, sql, [], &mut self.out)?;
        frontend::describe(b'S', &prepared.name, &mut self.out)?;
        frontend::sync(&mut self.out);
        self.flush()?;
        self.until_ready(|message| {
            let known = |oid| Ok(Type::from_oid(oid).unwrap_or(Type::TEXT));
            match message {
                Message::ParameterDescription(body) => prepared.parameters = body.parameters().map(known).collect()?,
                Message::RowDescription(body) => {
                    prepared.columns = body.fields().map(|field| known(field.type_oid())).collect()?;
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(prepared)
    }

    /// Runs a prepared statement; `before` is a command that goes first, in the same write.
    ///
    /// # Errors
    /// What the server says of either.
    pub fn run(&mut self, before: Option<&str>, prepared: &Prepared, parameters: &[Value]) -> Result<Answer, Failure> {
        if parameters.len() != prepared.parameters.len() {
            let (given, wanted) = (parameters.len(), prepared.parameters.len());
            return Err(Failure::Odd(format!("{given} parameters are given, and the statement has {wanted}")));
        }
        if let Some(command) = before {
            frontend::query(command, &mut self.out)?;
        }
        let bound = frontend::bind(
            "",
            &prepared.name,
            [BINARY],
            parameters.iter().zip(&prepared.parameters),
            |(value, ty), out| match value.to_sql(ty, out)? {
                IsNull::Yes => Ok(postgres_protocol::IsNull::Yes),
                IsNull::No => Ok(postgres_protocol::IsNull::No),
            },
            [BINARY],
            &mut self.out,
        );
        if let Err(error) = bound {
            self.out.clear();
            return Err(Failure::Odd(match error {
                frontend::BindError::Conversion(error) => error.to_string(),
                frontend::BindError::Serialization(error) => error.to_string(),
            }));
        }
        frontend::execute("", 0, &mut self.out)?;
        frontend::sync(&mut self.out);
        self.flush()?;
        let began = if before.is_some() { self.until_ready(|_| Ok(())) } else { Ok(()) };
        let mut answer = Answer::default();
        let ran = self.until_ready(|message| {
            match message {
                Message::DataRow(body) => answer.rows.push(row(&body, &prepared.columns)?),
                Message::CommandComplete(body) => answer.count = count(body.tag()?),
                _ => {}
            }
            Ok(())
        });
        began.and(ran).map(|()| answer)
    }

    /// Runs a text of commands, separated by semicolons.
    ///
    /// # Errors
    /// What the server says of the first that fails.
    pub fn command(&mut self, sql: &str) -> Result<(), Failure> {
        self.simple(sql, |_| ())
    }

    fn simple(&mut self, sql: &str, mut each: impl FnMut(&DataRowBody)) -> Result<(), Failure> {
        frontend::query(sql, &mut self.out)?;
        self.flush()?;
        self.until_ready(|message| {
            if let Message::DataRow(body) = &message {
                each(body);
            }
            Ok(())
        })
    }

    /// COPY .. FROM STDIN with these bytes.
    ///
    /// # Errors
    /// What the server says of the command or a row.
    pub fn copy_in(&mut self, sql: &str, data: &[u8]) -> Result<(), Failure> {
        frontend::query(sql, &mut self.out)?;
        // Behind the command at once: a server that refuses it passes over the rest.
        frontend::CopyData::new(data)?.write(&mut self.out);
        frontend::copy_done(&mut self.out);
        self.flush()?;
        self.until_ready(|_| Ok(()))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let written = self.stream.write_all(&self.out);
        self.out.clear();
        self.is_lost |= written.is_err();
        Ok(written?)
    }

    fn receive(&mut self) -> Result<Message, Failure> {
        loop {
            let parsed = Message::parse(&mut self.input);
            self.is_lost |= parsed.is_err();
            if let Some(message) = parsed? {
                return Ok(message);
            }
            let held = self.input.len();
            self.input.resize(held + READ_BYTES, 0);
            let read = self.stream.read(&mut self.input[held..]);
            self.input.truncate(held + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => {
                    self.is_lost = true;
                    return Err(Failure::Gone("the server closed it".into()));
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => {
                    self.is_lost |= read.is_err();
                    read?;
                }
            }
        }
    }

    /// Takes messages until the server is ready for more; the first error is the result.
    fn until_ready(&mut self, mut take: impl FnMut(Message) -> std::io::Result<()>) -> Result<(), Failure> {
        let mut result = Ok(());
        loop {
            match self.receive() {
                Ok(Message::ReadyForQuery(_)) => return result,
                Ok(Message::ErrorResponse(body)) => result = result.and(Err(server_error(body.fields()))),
                Ok(message) => {
                    if let Err(error) = take(message) {
                        result = result.and(Err(Failure::Odd(error.to_string())));
                    }
                }
                // Why the server closes the connection it may have said before.
                Err(failure) => return result.and(Err(failure)),
            }
        }
    }
}

/// To the first address of a host that takes a connection.
fn tcp(config: &Config, host: &str, port: u16) -> Result<TcpStream, Failure> {
    let wait = config.get_connect_timeout().copied().unwrap_or(CONNECT_WAIT);
    let mut stream = Err(std::io::Error::other(format!("{host} has no address")));
    for address in (host, port).to_socket_addrs()? {
        stream = TcpStream::connect_timeout(&address, wait);
        if stream.is_ok() {
            break;
        }
    }
    let stream = stream?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.out.clear();
        frontend::terminate(&mut self.out);
        let _ = self.stream.write_all(&self.out);
    }
}

fn row(body: &DataRowBody, columns: &[Type]) -> std::io::Result<Row> {
    let (buffer, mut columns) = (body.buffer(), columns.iter());
    let value = |range: Option<std::ops::Range<usize>>| {
        let ty = columns.next().unwrap_or(&Type::TEXT);
        let value = match range {
            Some(range) => Value::from_sql(ty, &buffer[range]),
            None => Ok(Value::Null),
        };
        value.map_err(|error| std::io::Error::other(error.to_string()))
    };
    Ok(Row(body.ranges().map(value).collect()?))
}

/// The last word of a command's tag: `INSERT 0 3`, `SELECT 5`, `BEGIN`.
fn count(tag: &str) -> u64 {
    tag.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn server_error(mut fields: ErrorFields<'_>) -> Failure {
    let (mut code, mut message) = (String::new(), String::new());
    while let Ok(Some(field)) = fields.next() {
        let text = || String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => code = text(),
            b'M' => message = text(),
            _ => {}
        }
    }
    Failure::Server { code, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_tells_how_many() {
        assert_eq!([count("INSERT 0 3"), count("SELECT 5"), count("BEGIN"), count("")], [3, 5, 0, 0]);
    }
}
