//! A backend of pages that differ, and a client that asks for them: a thread per connection, keep-alive.

use crate::{PAGE, page};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::thread;

/// Connections of the client.
const CONNECTIONS: usize = 4;

/// Listens on any port of 127.0.0.1 for as long as the process lives.
pub(crate) fn start() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the origin cannot listen")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that breaks is the business of the server that opened it.
            thread::spawn(move || drop(serve(stream)));
        }
    });
    Ok(address)
}

fn serve(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(start) = head(&mut reader)?.first() {
        let path = start.split(' ').nth(1).unwrap_or("/");
        let body = page::html(path, PAGE);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nETag: \"{:016x}\"\r\n\
             Cache-Control: public, s-maxage=86400\r\nX-Powered-By: Renderer\r\n\r\n",
            body.len(),
            xxhash_rust::xxh3::xxh3_64(&body)
        );
        writer.write_all(&[head.as_bytes(), &body].concat())?;
    }
    Ok(())
}

/// The lines of a head; none at the end of the connection.
fn head(reader: &mut impl BufRead) -> std::io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(Vec::new());
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(lines);
        }
        lines.push(line.to_owned());
    }
}

/// Asks for these pages once, as browsers do.
pub(crate) fn ask_for_all(server: SocketAddr, pages: Range<usize>) -> Result<()> {
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|first| {
            let own: Vec<usize> = pages.clone().skip(first).step_by(CONNECTIONS).collect();
            thread::spawn(move || own.chunks(1000).try_for_each(|pages| some(server, pages)))
        })
        .collect();
    threads.into_iter().try_for_each(|thread| thread.join().expect("a client does not panic"))
}

fn some(server: SocketAddr, pages: &[usize]) -> Result<()> {
    let mut writer = TcpStream::connect(server)?;
    writer.set_nodelay(true)?;
    let mut reader = BufReader::new(writer.try_clone()?);
    for page in pages {
        let ask = format!(
            "GET /products/{page} HTTP/1.1\r\nHost: shop.example.com\r\nAccept: text/html\r\n\
             Accept-Encoding: gzip, deflate, br, zstd\r\n\r\n"
        );
        writer.write_all(ask.as_bytes())?;
        answer(&mut reader).with_context(|| format!("page {page}"))?;
    }
    Ok(())
}

/// Reads an answer to its end.
fn answer(reader: &mut impl BufRead) -> Result<()> {
    let lines = head(reader)?;
    let Some(start) = lines.first() else { bail!("the connection ended") };
    if !start.contains(" 200") {
        bail!("answered {start}");
    }
    let field = |name: &str| {
        let line = lines.iter().find(|line| line.to_ascii_lowercase().starts_with(name))?;
        Some(line[name.len() + 1..].trim().to_owned())
    };
    if let Some(length) = field("content-length") {
        reader.read_exact(&mut vec![0; length.parse()?])?;
        return Ok(());
    }
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).context("neither a length nor chunks")?;
        reader.read_exact(&mut vec![0; size + 2])?;
        if size == 0 {
            return Ok(());
        }
    }
}

/// A page of an admin listener, as text.
pub(crate) fn fetch(server: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(server)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n")?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
