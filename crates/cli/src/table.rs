//! A table of text for a terminal: aligned columns under a rule, the first column to the left, figures to the right.
//!
//! Called by the commands that print results. Widths count characters, which is right for Latin and Cyrillic.

/// A table that is filled row by row.
pub struct Table {
    headings: Vec<String>,
    rows: Vec<Row>,
    left: Vec<usize>,
}

enum Row {
    Cells(Vec<String>, Emphasis),
    Rule,
}

/// How a row stands out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Emphasis {
    /// Not at all.
    Plain,
    /// In bold.
    Strong,
    /// Fainter than the others.
    Faint,
}

impl Table {
    /// An empty table under `headings`.
    pub fn new(headings: impl IntoIterator<Item = String>) -> Self {
        Self {
            headings: headings.into_iter().collect(),
            rows: Vec::new(),
            left: vec![0],
        }
    }

    /// Also aligns the column with this index to the left.
    pub fn left(mut self, column: usize) -> Self {
        self.left.push(column);
        self
    }

    /// Adds a row with one cell a heading.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>, emphasis: Emphasis) {
        let mut cells: Vec<String> = cells.into_iter().collect();
        cells.resize(self.headings.len(), String::new());
        self.rows.push(Row::Cells(cells, emphasis));
    }

    /// Adds a line between two groups of rows.
    pub fn rule(&mut self) {
        self.rows.push(Row::Rule);
    }

    /// The table as lines, each indented by two spaces and ended.
    pub fn render(&self) -> String {
        let widths = self.widths();
        let rule: String = widths
            .iter()
            .map(|w| "─".repeat(w + 2))
            .collect::<Vec<_>>()
            .join("");
        let rule = format!("  {}\n", console::style(rule.trim_end()).dim());
        let mut text = self.line(&self.headings, &widths, Emphasis::Strong);
        text.push_str(&rule);
        for row in &self.rows {
            match row {
                Row::Cells(cells, emphasis) => text.push_str(&self.line(cells, &widths, *emphasis)),
                Row::Rule => text.push_str(&rule),
            }
        }
        text
    }

    fn line(&self, cells: &[String], widths: &[usize], emphasis: Emphasis) -> String {
        let mut text = String::new();
        for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let padding = " ".repeat(width - cell.chars().count());
            let (before, after) = if self.left.contains(&column) {
                ("", padding.as_str())
            } else {
                (padding.as_str(), "")
            };
            text.push_str(&format!("{before}{cell}{after}  "));
        }
        let text = console::style(text.trim_end());
        let text = match emphasis {
            Emphasis::Plain => text,
            Emphasis::Strong => text.bold(),
            Emphasis::Faint => text.dim(),
        };
        format!("  {text}\n")
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headings.iter().map(|h| h.chars().count()).collect();
        for row in &self.rows {
            if let Row::Cells(cells, _) = row {
                for (width, cell) in widths.iter_mut().zip(cells) {
                    *width = (*width).max(cell.chars().count());
                }
            }
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let mut table = Table::new(["уровень", "точность"].map(str::to_owned));
        table.row(["1".to_owned(), "71,8".to_owned()], Emphasis::Plain);
        table.rule();
        table.row(["все уровни".to_owned()], Emphasis::Strong);
        let text = console::strip_ansi_codes(&table.render()).into_owned();
        assert_eq!(
            text,
            "  уровень     точность\n  ──────────────────────\n  1               71,8\n  ──────────────────────\n  все уровни\n"
        );
    }
}
