use super::*;
use crate::commands::status::two_of_four;

const PLAIN: Paint = Paint { colour: false };

#[test]
fn a_screen_of_80_by_24_has_everything() {
    let lines = render(&two_of_four(), 80, 24, PLAIN);
    let text = lines.join("\n");
    for expected in [
        " lyon  run 00000000  round 4 of 20, hold",
        " epoch 0: 2 of 4 voting members here, 3 decide; 0 B sent, 0 B received",
        " waiting for the updates of gent (not connected) and porto (not connected);\n deadline in \
         40 s",
        " member  seat       link                        this round        counted",
        " riga    voting     connected, 12 ms            update here           3/4",
        " gent    voting     not connected               no update yet         3/4",
        "           10.1.2.3 udp/4001: no route to host",
        " · round 3: gent missed the cut: it is not connected",
        " Ctrl-C ends this view; the node goes on",
    ] {
        assert!(text.contains(expected), "expected {expected:?} in\n{text}");
    }
}

#[test]
fn no_line_is_wider_and_no_screen_higher_than_asked_for() {
    let status = two_of_four();
    for width in 20..140 {
        for height in 12..30 {
            let lines = render(&status, width, height, PLAIN);
            assert!(lines.len() <= height, "{width} x {height}");
            for line in lines {
                let found = console::measure_text_width(&line);
                assert!(found <= width, "{width} x {height}: {line:?}");
            }
        }
    }
}

#[test]
fn plain_lines_name_who_is_away_and_what_its_addresses_answered() {
    let lines = plain_lines(&two_of_four());
    assert_eq!(
        lines[2..],
        [
            " waiting for the updates of gent (not connected) and porto (not connected); deadline \
             in 40 s",
            "   gent is not connected; 10.1.2.3 udp/4001: no route to host",
            "   porto is not connected",
        ]
    );
}
