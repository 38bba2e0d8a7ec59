//! What a run found: ratios with their spread over the rounds, and the floors of the design beside the figures. It
//! judges nothing on its own; a missed floor is printed, never an error.

use std::fmt;

/// The middle and the ends of a series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    /// The value in the middle.
    pub(crate) median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let odd = values.len() % 2 == 1;
        let median = if odd { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
        Some(Spread { median, min, max })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.max >= 1000.0 { 0 } else { 2 };
        write!(f, "{:.digits$} ({:.digits$}–{:.digits$})", self.median, self.min, self.max)
    }
}

/// A table whose columns are as wide as they must be.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub(crate) fn new(columns: &[&str]) -> Table {
        Table { rows: vec![columns.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.rows[0].len()];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        widths
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for (n, row) in self.rows.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                write!(f, "| {cell:<width$} ")?;
            }
            writeln!(f, "|")?;
            if n == 0 {
                widths.iter().try_for_each(|width| write!(f, "|{:-<1$}", "", width + 2))?;
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// Everything a run found.
#[derive(Default)]
pub(crate) struct Report {
    ratios: Vec<[String; 4]>,
    floors: Vec<[String; 4]>,
    /// CPU per request, by case and server.
    cpu: Vec<(String, String, f64)>,
}

impl Report {
    /// Adds a ratio measured in every round; nothing where there were none.
    pub(crate) fn ratio(&mut self, case: &str, measure: &str, of: &str, values: &[f64]) -> Option<Spread> {
        let spread = Spread::of(values.iter().copied())?;
        self.ratios.push([case.to_owned(), measure.to_owned(), of.to_owned(), spread.to_string()]);
        Some(spread)
    }

    /// Notes what a request costs a server in a case.
    pub(crate) fn cpu(&mut self, case: &str, server: &str, values: impl Iterator<Item = f64>) {
        if let Some(spread) = Spread::of(values) {
            self.cpu.push((case.to_owned(), server.to_owned(), spread.median));
        }
    }

    /// Sets a figure beside the most it may be.
    pub(crate) fn at_most(&mut self, what: &str, limit: f64, unit: &str, found: Option<Spread>) {
        let Some(found) = found else { return };
        let verdict = if found.median <= limit { "met" } else { "MISSED" };
        self.floors.push([what.to_owned(), format!("≤ {limit}{unit}"), format!("{found}{unit}"), verdict.to_owned()]);
    }

    /// Prints both tables.
    pub(crate) fn print(&self) {
        self.print_cpu();
        println!("\n## Ratios: median (min–max) over the rounds\n");
        print_table(&["case", "measure", "of", "ratio"], &self.ratios);
        println!("\n## Floors of the design\n");
        print_table(&["what", "floor", "found", ""], &self.floors);
    }
}

impl Report {
    /// A row for each case, a column for each server; behind the figure what Breadbox costs beside it.
    fn print_cpu(&self) {
        let mut servers: Vec<&str> = Vec::new();
        let mut cases: Vec<&str> = Vec::new();
        for (case, server, _) in &self.cpu {
            if !servers.contains(&server.as_str()) {
                servers.push(server);
            }
            if !cases.contains(&case.as_str()) {
                cases.push(case);
            }
        }
        if cases.is_empty() {
            return;
        }
        println!("\n## CPU µs per request, and Breadbox' as a share of it\n");
        let of = |case: &str, server: &str| {
            self.cpu.iter().find(|(c, s, _)| c == case && s == server).map(|(_, _, median)| *median)
        };
        let mut table = Table::new(&[&["case"], &servers[..]].concat());
        for case in cases {
            let ours = of(case, "breadbox");
            let cell = |server: &&str| match (of(case, server), ours) {
                (None, _) => "–".to_owned(),
                (Some(theirs), Some(ours)) if *server != "breadbox" => format!("{theirs:.1} ({:.2})", ours / theirs),
                (Some(figure), _) => format!("{figure:.1}"),
            };
            table.row(std::iter::once(case.to_owned()).chain(servers.iter().map(cell)));
        }
        print!("{table}");
    }
}

fn print_table(columns: &[&str], rows: &[[String; 4]]) {
    if rows.is_empty() {
        println!("none: nothing to compare was measured");
        return;
    }
    let mut table = Table::new(columns);
    rows.iter().for_each(|row| table.row(row.clone()));
    print!("{table}");
}
