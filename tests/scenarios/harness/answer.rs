//! An answer of the origin as a value; [`super::Exchange`] sends it.

/// How an answer says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// With `Content-Length`.
    Length,
    /// Chunked, in chunks of at most 16 KiB.
    Chunked,
    /// By closing the connection.
    Close,
}

/// Status, fields and body.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) sent: Sent,
}

impl Answer {
    /// 200 without a `Content-Type`.
    pub(crate) fn new(body: impl Into<Vec<u8>>) -> Self {
        Answer { status: 200, headers: Vec::new(), body: body.into(), sent: Sent::Length }
    }

    /// 200 and HTML.
    pub(crate) fn html(body: impl Into<Vec<u8>>) -> Self {
        Answer::new(body).header("Content-Type", "text/html; charset=utf-8")
    }

    /// This status and a short HTML body that names it.
    pub(crate) fn status(status: u16) -> Self {
        Answer { status, ..Answer::html(format!("origin says {status}")) }
    }

    /// A redirect.
    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Answer::status(status).header("Location", location)
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// One more field.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn chunked(mut self) -> Self {
        self.sent = Sent::Chunked;
        self
    }

    pub(crate) fn until_close(mut self) -> Self {
        self.sent = Sent::Close;
        self
    }

    /// The head as it goes over the wire.
    pub(crate) fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let bodiless = self.status == 204 || self.status == 304 || self.status < 200;
        match self.sent {
            Sent::Length if bodiless => {}
            Sent::Length => head += &format!("Content-Length: {}\r\n", self.body.len()),
            Sent::Chunked => head += "Transfer-Encoding: chunked\r\n",
            Sent::Close => head += "Connection: close\r\n",
        }
        (head + "\r\n").into_bytes()
    }
}
