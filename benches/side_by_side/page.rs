//! Pages that look like a shop's, made from their URL alone, so that every answer can be checked by who asked for it.

const NAMES: [&str; 16] = [
    "Rye",
    "Sourdough",
    "Spelt",
    "Baguette",
    "Ciabatta",
    "Focaccia",
    "Brioche",
    "Challah",
    "Pumpernickel",
    "Naan",
    "Pita",
    "Bagel",
    "Soda",
    "Potato",
    "Oat",
    "Walnut",
];
const WORDS: [&str; 16] = [
    "crust",
    "slow",
    "oven",
    "baked",
    "with",
    "a",
    "crumb",
    "of",
    "stone",
    "ground",
    "flour",
    "and",
    "sea",
    "salt",
    "overnight",
    "proofed",
];

/// HTML of exactly `size` bytes for this path.
pub(crate) fn html(path: &str, size: usize) -> Vec<u8> {
    let mut random = seed(path);
    let mut html = String::with_capacity(size + 512);
    html += "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">";
    html += "<meta name=\"viewport\" content=\"width=device-width\"><title>";
    html += path;
    html += "</title><link rel=\"stylesheet\" href=\"/assets/site.css\"></head><body><main>";
    while html.len() + 64 < size {
        card(&mut html, &mut random);
    }
    html.truncate(size.saturating_sub(END.len()));
    while html.len() + END.len() < size {
        html.push(' ');
    }
    html += END;
    html.into_bytes()
}

const END: &str = "</main></body></html>";

fn card(html: &mut String, random: &mut u64) {
    let id = next(random) % 100_000;
    let name = NAMES[(next(random) % 16) as usize];
    *html += &format!("<article class=\"card\" id=\"p{id}\"><h2><a href=\"/products/{id}\">{name}</a></h2><p>");
    for _ in 0..12 {
        *html += WORDS[(next(random) % 16) as usize];
        html.push(' ');
    }
    *html += &format!("</p><data class=\"price\" value=\"{0}\">&euro; {0}.90</data></article>", id % 90);
}

/// FNV-1a: any spread of the path's bytes over a seed will do.
fn seed(path: &str) -> u64 {
    path.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)) | 1
}

/// xorshift64: pages need variety, not randomness.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
