"""The parts that every view of the page is made of: elements, failures, streams, dialogs, words."""

import pytest
from page_browser import until

pytestmark = pytest.mark.long

STREAM = (
    'retry: 2000\n\nid: 1\nevent: segment\ndata: {"text": "one"}\n\n: still here\n\n'
    'event: level\r\ndata: {"dbfs": -20}\r\n\r\nid: 2\revent: gap\rdata: two\rdata: lines\r\r'
)


@pytest.fixture
def page(visit):
    """Open a page where nobody is signed in."""
    opened = visit(key=None)
    opened.wait_for_selector("form.sign-in")
    return opened


def test_events_are_read_wherever_their_bytes_are_cut(page):
    read = """async (text) => {
      const {Parser} = await import('/page/js/stream.js');
      const found = [];
      for (let size = 1; size <= text.length; size += 1) {
        const events = [];
        const parser = new Parser((...event) => events.push(event));
        for (let at = 0; at < text.length; at += size) parser.take(text.slice(at, at + size));
        parser.take('\\n');  // what is held back in case that it goes on
        found.push(JSON.stringify(events));
      }
      return [...new Set(found)].map((one) => JSON.parse(one));
    }"""
    assert page.evaluate(read, STREAM) == [
        [
            ["segment", {"text": "one"}, "1"],
            ["level", {"dbfs": -20}, None],
            ["gap", "two\nlines", "2"],
        ]
    ]


def test_an_event_with_an_id_comes_once_though_the_line_breaks_between_any_two(page):
    served = []

    def serve(route):
        """Send the events behind the last one, two at a time, and break off in the next one."""
        begun = int(route.request.headers.get("last-event-id", 0))
        served.append(begun)
        if begun >= 5:
            return route.fulfill(status=204)
        told = [f'id: {n}\nevent: segment\ndata: {{"n": {n}}}\n\n' for n in range(begun, begun + 3)]
        body = "".join(told[0 if begun else 1 :]) + f"id: {begun + 3}\nevent: seg"
        return route.fulfill(status=200, content_type="text/event-stream", body=body)

    page.route("**/told", serve)
    follow = """async () => {
      const {follow} = await import('/page/js/stream.js');
      const heard = [];
      const states = [];
      const last = await follow('/told', {
        onEvent: (name, data, id) => heard.push([name, data.n, id]),
        onState: (state) => states.push(state),
      });
      return {heard, last, states};
    }"""
    found = page.evaluate(follow)
    assert found["heard"] == [["segment", n, str(n)] for n in range(1, 7)]
    assert found["last"] == "6" and served == [0, 2, 4, 6]
    assert found["states"] == ["open", "waiting"] * 3


@pytest.mark.parametrize(
    ("status", "headers", "sentence", "step"),
    [
        (429, {"Retry-After": "7"}, "Slow down.", "Wait 7 s, then try again."),
        (
            403,
            {},
            "Slow down.",
            "Sign in with a key that may do this, or ask whoever runs the box.",
        ),
        (500, {}, "Slow down.", "Try again. If it stays so, run scribebox doctor on the box."),
        (404, {"no": "detail"}, "The box said 404.", "It may have been deleted. Go back and look"),
    ],
)
def test_a_failure_has_a_sentence_and_a_next_step(visit, page, status, headers, sentence, step):
    visit.expected(f"status of {status}", f"{status}: /said")
    content = {} if "no" in headers else {"detail": "Slow down."}
    page.route("**/said", lambda route: route.fulfill(status=status, headers=headers, json=content))
    said = page.evaluate(
        """async () => {
          const {call} = await import('/page/js/client.js');
          return call('/said').catch(({status, sentence, step}) => ({status, sentence, step}));
        }"""
    )
    assert said["status"] == status and said["sentence"] == sentence
    assert said["step"].startswith(step)


def test_what_is_handed_to_an_element_is_text_and_no_link_runs_anything(page):
    made = page.evaluate(
        """async () => {
          const {h} = await import('/page/js/dom.js');
          const hrefs = ['javascript:alert(1)', ' JaVaScRiPt:alert(1)', 'data:text/html,x',
            'vbscript:x', 'https://example.org/', '#/box', '/page/x'];
          const text = h('p', {title: '<b>'}, '<b>one</b>', 2, null, false, ['three', [h('i')]]);
          return {
            html: text.outerHTML,
            hrefs: hrefs.map((href) => h('a', {href}).getAttribute('href')),
            select: h('select', {value: 'b'},
              h('option', {value: 'a'}), h('option', {value: 'b'})).value,
            aria: h('p', {'aria-busy': false, hidden: false}).outerHTML,
          };
        }"""
    )
    assert made["html"] == '<p title="<b>">&lt;b&gt;one&lt;/b&gt;2three<i></i></p>' or (
        made["html"] == '<p title="&lt;b&gt;">&lt;b&gt;one&lt;/b&gt;2three<i></i></p>'
    )
    assert made["hrefs"] == [None, None, None, None, "https://example.org/", "#/box", "/page/x"]
    assert made["select"] == "b"
    assert made["aria"] == '<p aria-busy="false"></p>'


def test_a_dialog_keeps_the_focus_and_gives_it_back(page):
    page.locator("#key").focus()
    page.evaluate(
        """async () => {
          const {ask} = await import('/page/js/dialog.js');
          window.answers = [];
          const question = {title: 'Delete it?', text: 'For good.', confirm: 'Delete'};
          ask({...question, danger: true}).then((answer) => window.answers.push(answer));
        }"""
    )
    dialog = page.get_by_role("dialog", name="Delete it?")
    assert page.evaluate("document.activeElement.textContent") == "Cancel"  # not what destroys
    for _ in range(4):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body") or dialog.evaluate(
            "one => one.contains(document.activeElement)"
        )
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    until(page, "window.answers.length === 1")
    assert page.evaluate("[document.activeElement.id, window.answers]") == ["key", [False]]


def test_figures_and_times_are_told_as_people_read_them(page):
    told = page.evaluate(
        """async () => {
          const f = await import('/page/js/format.js');
          const today = new Date(2026, 10, 21, 12, 0);
          const at = (...parts) => f.when(new Date(...parts).toISOString(), today);
          return {
            clock: [0, 7.9, 123, 3723, null].map(f.clock),
            duration: [0, 42.4, 60, 192, 3600, 7500].map(f.duration),
            bytes: [0, 812, 3400, 3_440_000, 812_000_000].map(f.bytes),
            count: [f.count(1, 'session'), f.count(5000, 'session'),
              f.count(2, 'entry', 'entries')],
            when: [at(2026, 10, 21, 9, 5), at(2026, 10, 20, 23, 59), at(2026, 1, 3, 14, 3),
              at(2025, 1, 3, 14, 3), f.when('nonsense')],
          };
        }"""
    )
    assert told["clock"] == ["0:00", "0:07", "2:03", "1:02:03", "0:00"]
    assert told["duration"] == ["0 s", "42 s", "1 min", "3 min 12 s", "1 h", "2 h 5 min"]
    assert told["bytes"] == ["0 bytes", "812 bytes", "3.4 kB", "3.4 MB", "812 MB"]
    assert told["count"] == ["1 session", "5,000 sessions", "2 entries"]
    assert told["when"] == [
        "Today, 09:05", "Yesterday, 23:59", "Tue 3 Feb, 14:03", "3 Feb 2025", ""
    ]  # fmt: skip


def test_what_the_page_says_by_itself_can_be_heard_and_taken_away(page):
    page.evaluate(
        """async () => {
          const {toast} = await import('/page/js/notice.js');
          const undo = () => { window.undone = 1; };
          toast('Deleted.', {kind: 'ok', action: {label: 'Undo', run: undo}});
        }"""
    )
    page.get_by_role("status").filter(has_text="Deleted.").wait_for()
    page.get_by_role("region", name="Messages").get_by_role("button", name="Undo").click()
    assert page.evaluate("window.undone") == 1
    assert page.get_by_role("button", name="Undo").count() == 0
