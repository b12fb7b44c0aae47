// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Draws bars on a time axis, in a line of text.

/// The characters of a drawing.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// A running job of each stage.
    pub bars: [char; 3],
    /// A waiting job.
    pub waiting: char,
    /// A mark on the axis.
    pub mark: char,
    /// The end of a failed job.
    pub failed: char,
    /// The last column of a span that ends beyond the axis.
    pub beyond: char,
}

impl Style {
    /// Block characters.
    pub const UNICODE: Self = Self {
        bars: ['░', '▓', '█'],
        waiting: '·',
        mark: '│',
        failed: '✗',
        beyond: '»',
    };
    /// ASCII characters.
    pub const ASCII: Self = Self {
        bars: ['-', '=', '#'],
        waiting: '.',
        mark: '|',
        failed: 'x',
        beyond: '>',
    };
}

/// The axis that maps times to columns.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    /// The time of the left edge.
    pub start: u64,
    /// The time from edge to edge, not 0.
    pub length: u64,
    /// The number of columns.
    pub width: usize,
}

impl Axis {
    /// Returns the column of `time`, or the number of columns if it is beyond the end.
    pub fn column(&self, time: u64) -> usize {
        let offset = u128::from(time.saturating_sub(self.start));
        let column = offset * self.width as u128 / u128::from(self.length);
        usize::try_from(column)
            .unwrap_or(usize::MAX)
            .min(self.width)
    }
}

/// A line of text that is being drawn.
#[derive(Clone, Debug)]
pub struct Line {
    axis: Axis,
    style: Style,
    cells: Vec<char>,
}

impl Line {
    /// Creates an empty line.
    pub fn new(axis: Axis, style: Style) -> Self {
        Self {
            axis,
            style,
            cells: vec![' '; axis.width],
        }
    }

    /// Draws `character` between two times, at least one column wide.
    ///
    /// A span that ends beyond the axis has [`Style::beyond`] in the last column.
    pub fn span(&mut self, from: u64, to: u64, character: char) {
        let last = self.cells.len().saturating_sub(1);
        let first = self.axis.column(from);
        let end = self.axis.column(to).max(first + 1);
        for cell in self.cells.iter_mut().take(end).skip(first) {
            *cell = character;
        }
        if end > last + 1 || to > self.axis.start + self.axis.length {
            self.cells[last] = self.style.beyond;
        }
    }

    /// Draws `character` at `time`, if it is on the axis.
    pub fn point(&mut self, time: u64, character: char) {
        if let Some(cell) = self.cells.get_mut(self.axis.column(time)) {
            *cell = character;
        }
    }

    /// Draws a mark at `time`, if the column is empty.
    pub fn mark(&mut self, time: u64) {
        if let Some(cell) = self.cells.get_mut(self.axis.column(time)) {
            if *cell == ' ' {
                *cell = self.style.mark;
            }
        }
    }

    /// Writes `text` in the middle between two times, if it fits with a column on either side.
    pub fn label(&mut self, from: u64, to: u64, text: &str) {
        let (first, end) = (self.axis.column(from), self.axis.column(to));
        let length = text.chars().count();
        if end - first >= length + 2 {
            self.write(first + (end - first - length) / 2, text);
        }
    }

    /// Writes `text` from `time` on, if all of it is on the axis.
    pub fn text(&mut self, time: u64, text: &str) {
        let column = self.axis.column(time);
        if column + text.chars().count() <= self.cells.len() {
            self.write(column, text);
        }
    }

    fn write(&mut self, column: usize, text: &str) {
        for (cell, character) in self.cells.iter_mut().skip(column).zip(text.chars()) {
            *cell = character;
        }
    }

    /// Returns the line, as wide as the axis.
    pub fn finish(self) -> String {
        self.cells.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AXIS: Axis = Axis {
        start: 100,
        length: 100,
        width: 10,
    };

    fn line() -> Line {
        Line::new(AXIS, Style::ASCII)
    }

    #[test]
    fn times_map_to_columns() {
        assert_eq!(AXIS.column(100), 0);
        assert_eq!(AXIS.column(109), 0);
        assert_eq!(AXIS.column(110), 1);
        assert_eq!(AXIS.column(199), 9);
        assert_eq!(AXIS.column(200), 10);
        assert_eq!(AXIS.column(u64::MAX), 10);
        assert_eq!(AXIS.column(0), 0);
    }

    #[test]
    fn span_excludes_the_column_of_its_end() {
        let mut line = line();
        line.span(120, 150, '#');
        assert_eq!(line.finish(), "  ###     ");
    }

    #[test]
    fn short_span_has_one_column() {
        let mut line = line();
        line.span(125, 126, '#');
        assert_eq!(line.finish(), "  #       ");
    }

    #[test]
    fn span_to_the_end_is_not_beyond_it() {
        let mut line = line();
        line.span(180, 200, '#');
        assert_eq!(line.finish(), "        ##");
    }

    #[test]
    fn span_beyond_the_end_has_the_sign_for_it() {
        let mut one = line();
        one.span(180, 250, '#');
        assert_eq!(one.finish(), "        #>");
        let mut other = line();
        other.span(300, 350, '#');
        assert_eq!(other.finish(), "         >");
    }

    #[test]
    fn mark_does_not_replace_a_span() {
        let mut line = line();
        line.span(120, 150, '#');
        line.mark(130);
        line.mark(160);
        assert_eq!(line.finish(), "  ### |   ");
    }

    #[test]
    fn label_needs_room() {
        let mut wide = line();
        wide.span(110, 160, '#');
        wide.label(110, 160, "7");
        assert_eq!(wide.finish(), " ##7##    ");
        let mut narrow = line();
        narrow.span(110, 130, '#');
        narrow.label(110, 130, "7");
        assert_eq!(narrow.finish(), " ##       ");
    }

    #[test]
    fn text_is_complete_or_absent() {
        let mut line = line();
        line.text(120, "ms");
        line.text(190, "ms");
        assert_eq!(line.finish(), "  ms      ");
    }
}
