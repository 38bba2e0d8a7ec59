//! The words by which programs name themselves in `User-Agent`: those that index, preview, check, read aloud
//! or train. A word counts wherever it stands, in whatever case; `crawlers` in the file replaces this list.
//!
//! Whoever is taken for a program waits for the page as everybody would without a fallback; a program that
//! is taken for a person may index a page that says "one moment". So the first words are wide.

/// The shipped list.
pub(super) const SHIPPED: &[&str] = &[
    // What most of them have in their names: Googlebot, AhrefsBot, Baiduspider, …
    "bot",
    "crawl",
    "spider",
    "slurp",
    "scrape",
    "archiver",
    "fetcher",
    "preview",
    "validator",
    "checker",
    "monitor",
    // Search engines.
    "apis-google",
    "google-inspectiontool",
    "google-read-aloud",
    "google-site-verification",
    "googleother",
    "google-extended",
    "mediapartners-google",
    "storebot-google",
    "yandex.com/",
    "sogou",
    "ia_archiver",
    "archive.org",
    // Links in messages and posts.
    "facebookexternalhit",
    "facebookcatalog",
    "meta-externalagent",
    "meta-externalfetcher",
    "whatsapp",
    "skypeuripreview",
    "embedly",
    "iframely",
    "vkshare",
    "pinterest/",
    "snap url",
    "mastodon/",
    "misskey/",
    // Language models and their agents.
    "chatgpt-user",
    "oai-searchbot",
    "anthropic-ai",
    "claude-user",
    "claude-web",
    "perplexity",
    "cohere-ai",
    "mistralai-user",
    "diffbot",
    // Those that measure and watch.
    "chrome-lighthouse",
    "pagespeed",
    "gtmetrix",
    "pingdom",
    "statuscake",
    "site24x7",
    "newrelic",
    "screaming frog",
    // Programs that read pages for somebody else, another Breadbox among them.
    "feedly",
    "breadbox/",
    "python-requests",
    "python-urllib",
    "aiohttp",
    "go-http-client",
    "okhttp",
    "java/",
    "libwww-perl",
];
