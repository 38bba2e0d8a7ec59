//! Text with parameters of a route's pattern in it: `product-{id}`, `/products/{id}`. It knows names
//! only; what they stand for in a request is found by whoever fills it in.

/// A well-formed text with parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Text(Box<str>),
    Parameter(Box<str>),
}

impl Template {
    /// Reads a text in which `{name}` stands for a parameter.
    ///
    /// # Errors
    /// A brace that opens or closes nothing, or a parameter without a name.
    pub fn parse(text: &str) -> Result<Template, &'static str> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, behind) = behind.split_once('}').ok_or("has a { without a }")?;
            if name.is_empty() || name.contains(['{', '*', '/']) {
                return Err("has a parameter without a name");
            }
            push_text(&mut parts, before)?;
            parts.push(Part::Parameter(name.into()));
            rest = behind;
        }
        push_text(&mut parts, rest)?;
        Ok(Template(parts))
    }

    /// The names of its parameters, in order and with repetitions.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Parameter(name) => Some(&**name),
            Part::Text(_) => None,
        })
    }

    /// The text with a value for each name; `None` where one has none.
    pub fn fill<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            text.push_str(match part {
                Part::Text(part) => part,
                Part::Parameter(name) => value(name)?,
            });
        }
        Some(text)
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) -> Result<(), &'static str> {
    if text.contains('}') {
        return Err("has a } without a {");
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Template;

    #[test]
    fn parameters_are_filled_in_by_name() {
        let template = Template::parse("{shop}/product-{id}-{id}").expect("well-formed");
        assert_eq!(template.parameters().collect::<Vec<_>>(), ["shop", "id", "id"]);
        let value = |name: &str| if name == "id" { Some("7") } else { Some("a{b}") };
        assert_eq!(template.fill(value).as_deref(), Some("a{b}/product-7-7"));
        assert_eq!(template.fill(|name| (name == "id").then_some("7")), None);
    }

    #[test]
    fn braces_that_name_nothing_are_refused() {
        for text in ["{", "}", "a{b", "a}b", "{}", "{*rest}", "{a/b}", "{a{b}}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
