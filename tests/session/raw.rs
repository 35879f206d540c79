//! A client that sends single messages and shows what comes back.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// One backend message: its tag and body.
#[derive(Clone, Debug, PartialEq)]
pub struct Message(pub char, pub Vec<u8>);

impl Message {
    /// The field with this name of an ErrorResponse or NoticeResponse.
    pub fn field(&self, name: u8) -> String {
        let fields = self.1.split(|byte| *byte == 0);
        let found = fields.into_iter().find(|field| field.first() == Some(&name));
        found.map(|field| String::from_utf8_lossy(&field[1..]).into_owned()).unwrap_or_default()
    }
    /// The values of a DataRow as texts.
    pub fn row(&self) -> Vec<Option<String>> {
        let mut at = 2;
        let count = u16::from_be_bytes([self.1[0], self.1[1]]);
        (0..count)
            .map(|_| {
                let length = i32::from_be_bytes(self.1[at..at + 4].try_into().unwrap());
                at += 4;
                (length >= 0).then(|| {
                    at += length as usize;
                    String::from_utf8_lossy(&self.1[at - length as usize..at]).into_owned()
                })
            })
            .collect()
    }
}

pub struct Raw {
    stream: TcpStream,
    pub process: i32,
    pub secret: i32,
}

fn packed(tag: Option<u8>, body: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = tag.into_iter().collect();
    bytes.extend((body.len() as i32 + 4).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// Zero-terminated texts.
fn texts(all: &[&str]) -> Vec<u8> {
    all.iter().flat_map(|text| text.bytes().chain([0])).collect()
}

pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    let mut body = texts(&[name, sql]);
    body.extend([0, 0]);
    packed(Some(b'P'), &body)
}

pub fn bind(portal: &str, statement: &str, values: &[&str]) -> Vec<u8> {
    let mut body = texts(&[portal, statement]);
    body.extend([0, 0]);
    body.extend((values.len() as u16).to_be_bytes());
    for value in values {
        body.extend((value.len() as i32).to_be_bytes());
        body.extend(value.bytes());
    }
    body.extend([0, 0]);
    packed(Some(b'B'), &body)
}

pub fn execute(portal: &str, rows_max: i32) -> Vec<u8> {
    let mut body = texts(&[portal]);
    body.extend(rows_max.to_be_bytes());
    packed(Some(b'E'), &body)
}

pub fn describe(kind: char, name: &str) -> Vec<u8> {
    packed(Some(b'D'), &texts(&[&format!("{kind}{name}")]))
}

pub fn close(kind: char, name: &str) -> Vec<u8> {
    packed(Some(b'C'), &texts(&[&format!("{kind}{name}")]))
}

pub fn query(sql: &str) -> Vec<u8> {
    packed(Some(b'Q'), &texts(&[sql]))
}

pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    packed(Some(tag), body)
}

pub fn sync() -> Vec<u8> {
    packed(Some(b'S'), b"")
}

impl Raw {
    /// Bytes of a start-up packet.
    pub fn startup(parameters: &[&str]) -> Vec<u8> {
        let mut body = 196_608i32.to_be_bytes().to_vec();
        body.extend(texts(parameters));
        body.push(0);
        packed(None, &body)
    }

    pub fn open(port: u16) -> Raw {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Raw { stream, process: 0, secret: 0 }
    }

    pub fn connect(port: u16) -> Raw {
        let mut raw = Raw::open(port);
        raw.send(&[Raw::startup(&["user", "evesql", "database", "evesql"])]);
        for Message(tag, body) in raw.until_ready() {
            if tag == 'K' {
                raw.process = i32::from_be_bytes(body[0..4].try_into().unwrap());
                raw.secret = i32::from_be_bytes(body[4..8].try_into().unwrap());
            }
        }
        raw
    }

    /// Sends messages in one write.
    pub fn send(&mut self, messages: &[Vec<u8>]) {
        self.stream.write_all(&messages.concat()).expect("it is open");
    }

    pub fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).expect("a byte comes");
        byte[0]
    }

    /// The next message; `None` at the end of the stream.
    pub fn next(&mut self) -> Option<Message> {
        let mut head = [0u8; 5];
        self.stream.read_exact(&mut head).ok()?;
        let length = i32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).ok()?;
        Some(Message(head[0] as char, body))
    }

    /// Everything up to ReadyForQuery.
    pub fn until_ready(&mut self) -> Vec<Message> {
        let mut all = Vec::new();
        loop {
            let message = self.next().expect("the connection lives");
            let ready = message.0 == 'Z';
            all.push(message);
            if ready {
                return all;
            }
        }
    }

    /// Sends messages and shows the tags of what comes, errors with their code, up to `count` ReadyForQuery
    /// with their status.
    pub fn talk(&mut self, messages: &[Vec<u8>], count: usize) -> String {
        self.send(messages);
        let answers: Vec<Message> = (0..count).flat_map(|_| self.until_ready()).collect();
        answers.iter().map(shown).collect::<Vec<_>>().join(" ")
    }
}

pub fn shown(Message(tag, body): &Message) -> String {
    let message = Message(*tag, body.clone());
    match tag {
        'E' | 'N' => format!("{tag}:{}", message.field(b'C')),
        'C' => format!("C:{}", String::from_utf8_lossy(&body[..body.len() - 1])),
        'Z' => format!("Z:{}", body[0] as char),
        'D' => {
            let values = message.row().into_iter().map(|value| value.unwrap_or("NULL".into()));
            format!("D:{}", values.collect::<Vec<_>>().join(","))
        }
        'A' => {
            let texts: Vec<_> = body[4..body.len() - 1].split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
            format!("A:{}", texts.join(","))
        }
        tag => tag.to_string(),
    }
}
