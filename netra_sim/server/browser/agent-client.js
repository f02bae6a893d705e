/**
 * The client for web pages: the runs of one user over a WebSocket that may break at any time.
 *
 * It implements the client's side of docs/protocol.md: it reconnects after a random pause, resumes where it was, passes on
 * every event once and in order, and reports every gap. It needs no other file and no build step, and runs in every browser
 * of 2022 or later.
 *
 *     import { AgentClient } from "https://chat.example/agent-client.js";
 *
 *     const client = new AgentClient("wss://chat.example", {
 *       token: async () => (await fetch("/token")).text(),
 *       onEvent: (run, event) => show(run),
 *     });
 *     client.connect();
 *     const run = await client.execute("How can I cut my costs?");
 */

const FIRST_PAUSE = 50; // milliseconds, like all times here
const LONGEST_PAUSE = 5_000;
const REPLACED_PAUSE = [10_000, 30_000];
const REFUSED_PAUSE = 1_000;
const REFUSED_TOKENS = 3; // in a row, before the client gives up; one can end in an outage, and the next one on its way
const QUIET = 25_000;
const ENDED_KEPT = 500;

const UNAUTHENTICATED = 4401;
const REPLACED = 4410;
const RETURNS_ALL_THE_SAME = new Set([4408, REPLACED]);
const SAME_MESSAGE_LATER = new Set(["rate_limited", "not_ready"]);
const COMES_BY_ITSELF = new Set(["duplicate_request", "shutting_down"]);

/**
 * Whether a client must not reconnect after this close code, because the server would close it again.
 *
 * @param {number} code the close code of the WebSocket.
 * @returns {boolean} true if the client stays away by docs/protocol.md; also for unknown codes from 4400 to 4499.
 */
export function isTerminal(code) {
  return code === 1009 || (code >= 4400 && code <= 4499 && !RETURNS_ALL_THE_SAME.has(code));
}

/** The server refused a request, or closed the client before the answer; `code` says why, `message` in a sentence. */
export class RefusedError extends Error {
  constructor(code, detail) {
    super(detail || String(code));
    this.name = "RefusedError";
    this.code = code;
  }
}

/**
 * The state of one run, from the events that arrived so far.
 *
 * @property {string} runId
 * @property {string} threadId the conversation; use it for the next question in the same conversation.
 * @property {string} status "running", "completed", "failed", or "lost" if the server can no longer say how the run ended.
 * @property {number} seq the number of the last event; -1 before the first.
 * @property {string} text the text of the answer so far: all pieces of `agent_delta`, joined.
 * @property {string} thoughts what the agents said of their work: all texts of `agent_thinking`, joined.
 * @property {unknown} answer the answer, once the run is completed.
 * @property {{error: string, message: string} | null} error why the run failed or was lost.
 * @property {number} missed the number of events that the server could no longer replay. `text` is still complete, unless it
 *   is long.
 */
export class Run {
  constructor(runId) {
    this.runId = runId;
    this.threadId = "";
    this.status = "running";
    this.seq = -1;
    this.text = "";
    this.thoughts = "";
    this.answer = null;
    this.error = null;
    this.missed = 0;
    this.endedAt = Infinity;
  }

  get hasEnded() {
    return this.status !== "running";
  }

  take(event) {
    this.seq = event.seq;
    this.threadId = event.thread_id;
    if (event.type === "agent_delta") this.text += event.text;
    if (event.type === "agent_thinking" && typeof event.reasoning === "string") this.thoughts += event.reasoning;
    if (event.type === "agent_completed") this.end("completed", { answer: event.final_response, endedAt: event.timestamp });
    if (event.type === "agent_error") {
      this.end("failed", { error: { error: event.error, message: event.message }, endedAt: event.timestamp });
    }
  }

  end(status, values) {
    Object.assign(this, { status }, values);
  }
}

/**
 * A connection of one user that reconnects by itself.
 *
 * @property {string} state "closed", "connecting", "open", "draining" (open, but begins no more runs) or "waiting".
 * @property {number | null} closeCode the close code after which the client must not reconnect, or null.
 * @property {Map<string, Run>} runs the runs that the server keeps, by id, in the order of their first event.
 * @property {number} duplicates the number of events that arrived again, and were not passed on again.
 * @property {number} unannouncedGaps the number of events missing without a gap; 0 if the server keeps its guarantee.
 * @property {number} skipped the number of unknown frames.
 */
export class AgentClient {
  #url;
  #options;
  #socket = null;
  #epoch = null;
  #userId = "";
  #failures = 0;
  #refusedTokens = 0;
  #isGreeted = false;
  #asked = new Map(); // requests without an answer, by request id
  #timer = null;
  #quiet = null;
  #isResuming = false;
  #isReplaced = false;
  #wake = () => this.#hurry();

  /**
   * @param {string} url the address of the server, wss://...
   * @param {object} options
   * @param {string | (() => string | Promise<string>)} [options.token] proves who the user is. A function is called for every
   *   connection, so that it can return a fresh token; if the server refuses it, the client asks for another one, and gives up
   *   at the third in a row. Without a token, the browser's cookie is the proof.
   * @param {(run: Run, event: object) => void} [options.onEvent] called with each event once, in order, after the update of
   *   its run.
   * @param {(run: Run, gap: object) => void} [options.onGap] called when events cannot be replayed; see docs/protocol.md.
   * @param {(state: string, code: number | null) => void} [options.onState] called when the state has changed.
   * @param {() => number} [options.random] returns numbers from 0 to 1, for the pauses.
   */
  constructor(url, options = {}) {
    const nothing = () => {};
    this.#url = new URL(url, globalThis.location?.href).href;
    this.#options = { onEvent: nothing, onGap: nothing, onState: nothing, random: Math.random, ...options };
    this.state = "closed";
    this.closeCode = null;
    this.runs = new Map();
    this.duplicates = 0;
    this.unannouncedGaps = 0;
    this.skipped = 0;
  }

  /** Connect, and stay connected until `close`, or until a close code after which the client must not reconnect. */
  connect() {
    if (this.state !== "closed") return;
    this.closeCode = null;
    globalThis.addEventListener?.("online", this.#wake);
    this.#open();
  }

  /** Disconnect and do not reconnect. Runs go on without the client; requests without an answer are rejected. */
  close() {
    const socket = this.#socket;
    this.#leave(null);
    socket?.close(1000);
  }

  /**
   * Begin a run as soon as there is a connection, and wait for its end.
   *
   * The client sends the request again on each new connection until the server has it. Because of its id the server carries
   * it out only once, unless it restarts or forgets the run.
   *
   * @param {string} message the user's question.
   * @param {object} [options]
   * @param {string} [options.requestId] 1 to 64 letters, digits, "_" and "-"; random by default.
   * @param {string} [options.threadId] the conversation; a new one by default.
   * @param {object} [options.data] more data for the agents.
   * @returns {Promise<Run>} the run after its end, whatever its status.
   * @throws {RefusedError} the server refused the request, or closed the client for good.
   */
  execute(message, { requestId = newId(), threadId, data } = {}) {
    return new Promise((resolve, reject) => {
      if (this.state === "closed") throw new RefusedError("closed", "the client is closed; call connect() first");
      if (this.#asked.has(requestId)) throw new RefusedError("duplicate_request", `${requestId} is being carried out`);
      const content = { type: "execute_agent", message, request_id: requestId };
      if (threadId !== undefined) content.thread_id = threadId;
      if (data !== undefined) content.data = data;
      this.#asked.set(requestId, { content, resolve, reject });
      if (this.state === "open") this.#say(content);
    });
  }

  /** End a run of this user, given by its request id; it ends with `agent_error` "cancelled". */
  cancel(requestId) {
    this.#say({ type: "cancel", request_id: requestId });
  }

  /** Use a newer token of the same user on this connection, and on later ones unless a function gets their tokens. */
  authenticate(token) {
    if (typeof this.#options.token !== "function") this.#options.token = token;
    this.#say({ type: "authenticate", token });
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.#options.onState(state, this.closeCode);
  }

  async #open() {
    this.#become("connecting");
    const attempt = (this.#socket = {}); // a placeholder until there is a socket
    this.#isGreeted = false;
    let socket;
    try {
      const { token } = this.#options;
      const proof = typeof token === "function" ? await token() : token;
      if (this.#socket !== attempt) return; // closed meanwhile
      socket = new WebSocket(this.#url, proof === undefined ? ["netra.v1"] : ["netra.v1", `bearer.${proof}`]);
    } catch (error) {
      if (this.#socket !== attempt) return;
      // A SyntaxError means that the token is not valid in a header; another error, that it cannot be fetched now.
      this.#return(error.name === "SyntaxError" ? UNAUTHENTICATED : 1006);
      return;
    }
    this.#socket = socket;
    socket.onopen = () => this.#resume();
    socket.onmessage = ({ data }) => this.#socket === socket && this.#read(data);
    socket.onclose = ({ code }) => this.#socket === socket && this.#return(code);
  }

  #resume() {
    const cursors = {};
    for (const run of this.runs.values()) if (run.seq >= 0) cursors[run.runId] = run.seq;
    this.#isResuming = true;
    this.#say({ type: "resume", epoch: this.#epoch, cursors });
    this.#listen();
  }

  #say(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Scripts do not see WebSocket pings: after a silence send a ping, and after a second silence drop the connection. */
  #listen(hasAsked = false) {
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => {
      if (hasAsked) return this.#drop();
      this.#say({ type: "ping" });
      this.#listen(true);
    }, QUIET);
  }

  #drop() {
    const socket = this.#socket;
    this.#return(1006);
    socket.close();
  }

  #return(code) {
    clearTimeout(this.#quiet);
    this.#socket = null;
    if (isTerminal(code) && !(code === UNAUTHENTICATED && this.#mayRenew())) return this.#leave(code);
    const { random } = this.#options;
    let pause = random() * Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#failures);
    if (code === REPLACED) pause += REPLACED_PAUSE[0] + random() * (REPLACED_PAUSE[1] - REPLACED_PAUSE[0]);
    this.#failures += 1; // only a hello resets this: an open socket does not prove that the server works
    this.#isReplaced = code === REPLACED;
    this.#timer = setTimeout(() => this.#open(), pause);
    this.#become("waiting");
  }

  /** Count the refused token, unless a hello came for it before it ended; return whether to try another one. */
  #mayRenew() {
    if (!this.#isGreeted) this.#refusedTokens += 1;
    return typeof this.#options.token === "function" && this.#refusedTokens < REFUSED_TOKENS;
  }

  /** The network is back: reconnect at once, unless another tab took this one's place. */
  #hurry() {
    if (this.state !== "waiting" || this.#isReplaced) return;
    clearTimeout(this.#timer);
    this.#open();
  }

  #leave(code) {
    clearTimeout(this.#timer);
    clearTimeout(this.#quiet);
    globalThis.removeEventListener?.("online", this.#wake);
    this.#socket = null;
    this.closeCode = code;
    const waiting = [...this.#asked.values()];
    this.#asked.clear();
    this.#become("closed");
    const why = code === null ? "the client was closed" : `the server turned the client away with ${code}`;
    for (const { reject } of waiting) reject(new RefusedError(code ?? "closed", why));
  }

  #read(text) {
    this.#listen();
    let message = null;
    try {
      message = JSON.parse(text);
    } catch {
      // counted below
    }
    if (typeof message?.seq === "number" && typeof message.run_id === "string") this.#event(message);
    else if (message?.type === "hello") this.#hello(message);
    else if (message?.type === "gap") this.#gap(message);
    else if (message?.type === "refused") this.#refused(message);
    else if (message?.type === "draining") this.#become("draining");
    else if (message?.type !== "pong" && message?.type !== "authenticated") this.skipped += 1;
  }

  #event(event) {
    let run = this.runs.get(event.run_id);
    if (run === undefined || (event.seq === 0 && event.timestamp > run.endedAt)) {
      run = new Run(event.run_id); // also if a new run has the id of a run that the server has forgotten
      this.runs.delete(event.run_id);
      this.runs.set(event.run_id, run);
    }
    if (event.seq <= run.seq) {
      this.duplicates += 1;
      return;
    }
    if (event.seq > run.seq + 1) {
      if (this.#isResuming) return; // the missing events and this one come again after the hello
      this.unannouncedGaps += event.seq - run.seq - 1;
      this.#resume();
      return;
    }
    run.take(event);
    if (run.hasEnded) this.#ended(run);
    this.#options.onEvent(run, event);
  }

  #ended(run) {
    const requestId = this.#requestOf(run.runId);
    this.#asked.get(requestId)?.resolve(run);
    this.#asked.delete(requestId);
    const ended = [...this.runs.values()].filter((one) => one.hasEnded);
    for (const one of ended.slice(0, Math.max(0, ended.length - ENDED_KEPT))) this.runs.delete(one.runId);
  }

  #hello({ epoch, user_id: userId, runs }) {
    this.#isResuming = false;
    this.#failures = 0;
    this.#refusedTokens = 0;
    this.#isGreeted = true;
    this.#userId = userId;
    const listed = new Set(runs.map((run) => run.run_id));
    for (const run of [...this.runs.values()]) {
      if (run.hasEnded && (epoch !== this.#epoch || !listed.has(run.runId))) this.runs.delete(run.runId);
      else if (epoch !== this.#epoch) this.#lose(run, "the server was restarted");
    }
    this.#epoch = epoch;
    this.#become("open");
    for (const [requestId, { content }] of this.#asked) {
      const runId = `${userId}.${requestId}`;
      if (!listed.has(runId) && !this.runs.has(runId)) this.#say(content);
    }
  }

  #gap(gap) {
    const run = this.runs.get(gap.run_id) ?? new Run(gap.run_id);
    if (gap.missed_to >= 0) {
      run.missed += Math.max(0, gap.missed_to - Math.max(run.seq, gap.missed_from - 1));
      run.seq = Math.max(run.seq, gap.missed_to);
      run.text = gap.text ?? run.text;
      this.runs.set(gap.run_id, run);
    } else {
      this.runs.delete(gap.run_id);
      if (gap.status === "lost" || gap.status === "unknown") this.#lose(run, gap.detail);
    }
    this.#options.onGap(run, gap);
  }

  #lose(run, why) {
    if (run.hasEnded) return;
    run.end("lost", { error: { error: "lost", message: why }, seq: -1, endedAt: -Infinity });
    this.#ended(run);
  }

  #refused({ code, detail, request_id: requestId }) {
    const asked = this.#asked.get(requestId);
    if (asked === undefined || COMES_BY_ITSELF.has(code)) return;
    if (SAME_MESSAGE_LATER.has(code)) {
      const again = () => this.#asked.get(requestId) === asked && this.state === "open" && this.#say(asked.content);
      setTimeout(again, REFUSED_PAUSE * (0.5 + this.#options.random()));
      return;
    }
    this.#asked.delete(requestId);
    asked.reject(new RefusedError(code, detail));
  }

  #requestOf(runId) {
    return runId.startsWith(`${this.#userId}.`) ? runId.slice(this.#userId.length + 1) : undefined;
  }
}

function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
