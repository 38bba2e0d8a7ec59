//! Visitors that are programs: they wait for the real page and its real status, whatever a route shows to people.

/// Words by which programs name themselves in `User-Agent`, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crawlers(Vec<Box<str>>);

/// A `User-Agent` is read this far.
const LONGEST: usize = 1024;

impl Crawlers {
    /// Programs whose `User-Agent` contains one of these words, in whatever case.
    pub fn new<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> Self {
        Crawlers(words.into_iter().map(|word| word.as_ref().to_ascii_lowercase().into()).collect())
    }

    /// Whether somebody who says to be `user_agent` is one of them.
    pub fn match_agent(&self, user_agent: &[u8]) -> bool {
        let agent = user_agent[..user_agent.len().min(LONGEST)].to_ascii_lowercase();
        self.0.iter().any(|word| memchr::memmem::find(&agent, word.as_bytes()).is_some())
    }
}
