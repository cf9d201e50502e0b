// Asks, again and again: only while the page can be seen, and it says when nobody answers.

const EVERY_MS = 2000;
/** What takes long is asked for less often: the process has other work than this page. */
const PAUSE_TO_WORK = 6;
/** A process that does not answer within this time is lost. */
const PATIENCE_MS = 30000;

const polls = new Set();

/** Whether the process answers, told to whoever wants to know. */
export const link = Object.assign(new EventTarget(), { state: "begin", since: 0 });

function turn(state) {
  if (link.state === state) return;
  link.state = state;
  link.since = Date.now();
  link.dispatchEvent(new Event("change"));
}

/** Answers to one question, until it is stopped. */
export class Poll {
  /** `url()` gives the address of the moment, `every` the pause behind an answer. */
  constructor(url, { every = EVERY_MS, answer, trouble }) {
    Object.assign(this, { url, every, answer, trouble, timer: 0, asking: null });
    polls.add(this);
    this.now();
  }

  /** Asks at once, whatever was asked before. */
  now() {
    clearTimeout(this.timer);
    this.asking?.abort();
    if (!document.hidden) this.ask();
  }

  stop() {
    clearTimeout(this.timer);
    this.asking?.abort();
    polls.delete(this);
  }

  async ask() {
    const asking = new AbortController();
    this.asking = asking;
    const began = performance.now();
    const limit = setTimeout(() => asking.abort("late"), PATIENCE_MS);
    try {
      const response = await fetch(this.url(), { signal: asking.signal, headers: { accept: "application/json" } });
      const answer = await response.json();
      turn("up");
      if (this.asking !== asking) return;
      if (response.ok) draw(() => this.answer(answer));
      else this.trouble?.(answer.error ?? `The answer is ${response.status}.`, response.status);
    } catch (error) {
      // What was given up here is no news, but for an answer that has not come in time.
      if (this.asking !== asking || (asking.signal.aborted && asking.signal.reason !== "late")) return;
      if (error instanceof TypeError || asking.signal.aborted || error instanceof SyntaxError) turn("down");
      else throw error;
    } finally {
      clearTimeout(limit);
      if (this.asking === asking) {
        this.asking = null;
        if (polls.has(this) && !document.hidden) this.timer = setTimeout(() => this.ask(), Math.max(this.every, PAUSE_TO_WORK * (performance.now() - began)));
      }
    }
  }

  sleep() {
    clearTimeout(this.timer);
    const asking = this.asking;
    this.asking = null;
    asking?.abort();
  }
}

document.addEventListener("visibilitychange", () => {
  for (const poll of polls) document.hidden ? poll.sleep() : poll.now();
});

/** A panel's own mistake is no lost connection. */
function draw(panel) {
  try {
    panel();
  } catch (error) {
    console.error(error);
  }
}
