//! The lower bound: one thread with epoll that reads a request, understands nothing of it, and writes the same bytes a
//! cache would. Whatever a cache costs beyond it is the price of being one.

use crate::process::Running;
use anyhow::{Context, Result, bail};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The argument that makes this program the responder.
pub(crate) const ARGUMENT: &str = "--bare";
/// A request larger than this is more than one, and nothing here sends such.
const MAX_REQUEST: usize = 16 * 1024;

/// A running responder and the addresses of its answers, in the order they were given.
pub(crate) struct Bare {
    /// Its process.
    pub(crate) process: Running,
    /// One for each answer.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Bare {
    /// Starts it in a process of its own, on the core of the servers.
    pub(crate) fn start(dir: &Path, answers: &[Vec<u8>]) -> Result<Bare> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(ARGUMENT);
        for (n, answer) in answers.iter().enumerate() {
            let file = dir.join(format!("bare-{n}"));
            std::fs::write(&file, answer)?;
            command.arg(file);
        }
        let mut process = Running::start(&command, Stdio::piped())?;
        let output = process.child().stdout.take().context("the bare responder has no output")?;
        let lines = BufReader::new(output).lines().take(answers.len());
        let addresses: Vec<SocketAddr> = lines.map(|line| Ok(line?.parse()?)).collect::<Result<_>>()?;
        if addresses.len() != answers.len() {
            bail!("the bare responder did not start");
        }
        Ok(Bare { process, addresses })
    }
}

/// The responder itself: listens once for each file and prints where, then answers until its input ends.
pub(crate) fn respond(files: impl Iterator<Item = PathBuf>) -> Result<()> {
    // Its parent holds the other end of its input, so it cannot outlive it.
    std::thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let answers: Vec<Vec<u8>> = files.map(std::fs::read).collect::<io::Result<_>>()?;
    let mut responder = Responder {
        poll: Poll::new()?,
        listeners: Vec::new(),
        connections: Vec::new(),
        free: Vec::new(),
        request: vec![0; MAX_REQUEST],
    };
    for _ in &answers {
        println!("{}", responder.listen()?);
    }
    responder.run(&answers)
}

struct Responder {
    poll: Poll,
    listeners: Vec<TcpListener>,
    /// By their tokens, which are behind those of the listeners.
    connections: Vec<Option<Connection>>,
    /// Places in that list without a connection.
    free: Vec<usize>,
    /// Where requests are read.
    request: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    answer: usize,
    /// Bytes of the answer already written, while one is being written.
    written: Option<usize>,
}

impl Responder {
    fn listen(&mut self) -> io::Result<SocketAddr> {
        let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
        self.poll.registry().register(&mut listener, Token(self.listeners.len()), Interest::READABLE)?;
        let address = listener.local_addr();
        self.listeners.push(listener);
        address
    }

    fn run(mut self, answers: &[Vec<u8>]) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            if let Err(error) = self.poll.poll(&mut events, None)
                && error.kind() != io::ErrorKind::Interrupted
            {
                return Err(error.into());
            }
            for token in events.iter().map(mio::event::Event::token) {
                self.handle(token, answers)?;
            }
        }
    }

    fn handle(&mut self, token: Token, answers: &[Vec<u8>]) -> io::Result<()> {
        if let Some(listener) = self.listeners.get(token.0) {
            while let Ok((stream, _)) = listener.accept() {
                let place = self.free.pop().unwrap_or(self.connections.len());
                self.connections.resize_with(self.connections.len().max(place + 1), || None);
                let its = Token(self.listeners.len() + place);
                self.connections[place] = Some(Connection::new(stream, token.0, self.poll.registry(), its)?);
            }
            return Ok(());
        }
        let place = token.0 - self.listeners.len();
        let Some(connection) = &mut self.connections[place] else { return Ok(()) };
        if connection.advance(&answers[connection.answer], &mut self.request).is_err() {
            self.connections[place] = None;
            self.free.push(place);
        }
        Ok(())
    }
}

impl Connection {
    fn new(mut stream: TcpStream, answer: usize, registry: &Registry, token: Token) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        // Edge-triggered, so that being told of room to write costs nothing until a write was short of it.
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Connection { stream, answer, written: None })
    }

    /// Reads a request and writes the answer, as far as both go without waiting; an error ends the connection.
    fn advance(&mut self, answer: &[u8], request: &mut [u8]) -> io::Result<()> {
        if self.written.is_none() {
            match self.stream.read(request) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) if request[..n].ends_with(b"\r\n\r\n") => self.written = Some(0),
                Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        while let Some(written) = self.written {
            match self.stream.write(&answer[written..]) {
                Ok(n) => self.written = (written + n < answer.len()).then_some(written + n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
