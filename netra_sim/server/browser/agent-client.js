/**
 * The client for web pages: one user's runs over a WebSocket that may break at any time.
 *
 * It keeps the client's side of docs/protocol.md: it returns after a pause that it draws, goes on where it was, shows every
 * event once and in order, and tells of every gap. It needs no other file, no build step, and any browser of 2022 or later.
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

const FIRST_PAUSE = 50; // milliseconds, as all times here
const LONGEST_PAUSE = 5_000;
const REPLACED_PAUSE = [10_000, 30_000];
const REFUSED_PAUSE = 1_000;
const QUIET = 25_000;
const ENDED_KEPT = 500;

const UNAUTHENTICATED = 4401;
const REPLACED = 4410;
const RETURNS_ALL_THE_SAME = new Set([4408, REPLACED]);
const SAME_MESSAGE_LATER = new Set(["rate_limited", "not_ready"]);
const COMES_BY_ITSELF = new Set(["duplicate_request", "shutting_down"]);

/**
 * Whether a client stays away after a close code, as it would fare no better.
 *
 * @param {number} code of the WebSocket's close.
 * @returns {boolean} true for what docs/protocol.md calls terminal, and for codes from 4400 to 4499 that it does not know.
 */
export function isTerminal(code) {
  return code === 1009 || (code >= 4400 && code <= 4499 && !RETURNS_ALL_THE_SAME.has(code));
}

/** A request was refused, or the client was turned away before it was answered; `code` says why, `message` in a sentence. */
export class RefusedError extends Error {
  constructor(code, detail) {
    super(detail || String(code));
    this.name = "RefusedError";
    this.code = code;
  }
}

/**
 * One run as far as it has been seen.
 *
 * @property {string} runId
 * @property {string} threadId of its conversation, for the next question in it.
 * @property {string} status "running", "completed", "failed", or "lost" if the server can no longer say how it ended.
 * @property {number} seq number of the last event; -1 before the first.
 * @property {string} text of the answer so far: all pieces of `agent_delta`, one after the other.
 * @property {string} thoughts what its agents have said of their work: all texts of `agent_thinking`, one after the other.
 * @property {unknown} answer of the run, once it is completed.
 * @property {{error: string, message: string} | null} error why it failed, or was lost.
 * @property {number} missed events that the server could no longer replay. `text` is whole all the same, unless it is long.
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
 * A user's connection, which comes back by itself.
 *
 * @property {string} state "closed", "connecting", "open", "draining" (open, and begins no more runs) or "waiting".
 * @property {number | null} closeCode with which the server turned the client away for good.
 * @property {Map<string, Run>} runs that the server holds, by their ids, in the order in which they were first seen.
 * @property {number} duplicates events that arrived again, and were not shown again.
 * @property {number} unannouncedGaps events that were missing without a word; stays 0 with a server that keeps its guarantee.
 * @property {number} skipped frames that this client does not know.
 */
export class AgentClient {
  #url;
  #options;
  #socket = null;
  #epoch = null;
  #userId = "";
  #failures = 0;
  #asked = new Map(); // by request id: what waits for its answer
  #timer = null;
  #quiet = null;
  #isResuming = false;
  #isReplaced = false;
  #wake = () => this.#hurry();

  /**
   * @param {string} url of the server, wss://...
   * @param {object} options
   * @param {string | (() => string | Promise<string>)} [options.token] proves who the user is; a function is asked for every
   *   connection, and so can give a fresh one. Without it the browser's cookie does.
   * @param {(run: Run, event: object) => void} [options.onEvent] each event once, in order, after the run has taken it.
   * @param {(run: Run, gap: object) => void} [options.onGap] events that cannot be replayed; see docs/protocol.md.
   * @param {(state: string, code: number | null) => void} [options.onState] the state has changed.
   * @param {() => number} [options.random] numbers from 0 to 1 for the pauses.
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

  /** Connect, and stay connected until `close` or until the server turns the client away for good. */
  connect() {
    if (this.state !== "closed") return;
    this.closeCode = null;
    globalThis.addEventListener?.("online", this.#wake);
    this.#open();
  }

  /** Go for good. Runs go on without the client; what waits for an answer is rejected. */
  close() {
    const socket = this.#socket;
    this.#leave(null);
    socket?.close(1000);
  }

  /**
   * Begin a run, as soon as there is a connection, and wait until it has ended.
   *
   * The request is sent again on each new connection until the server has it. Its id sees to it that this carries it out
   * once, as long as the server goes on living and remembers the run.
   *
   * @param {string} message of the user.
   * @param {object} [options]
   * @param {string} [options.requestId] 1 to 64 letters, digits, "_" and "-"; drawn unless given.
   * @param {string} [options.threadId] the conversation that it belongs to.
   * @param {object} [options.data] what else the agents are to have.
   * @returns {Promise<Run>} the run when it has ended, however that was.
   * @throws {RefusedError} the server does not carry it out, or has turned the client away.
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

  /** End a run of this user's, by the id of its request; it then ends with `agent_error` "cancelled". */
  cancel(requestId) {
    this.#say({ type: "cancel", request_id: requestId });
  }

  /** Go on with a newer token of the same user, on this connection and on those to come. */
  authenticate(token) {
    this.#options.token = token;
    this.#say({ type: "authenticate", token });
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.#options.onState(state, this.closeCode);
  }

  async #open() {
    this.#become("connecting");
    const attempt = (this.#socket = {}); // until there is a socket, stands for it
    let socket;
    try {
      const { token } = this.#options;
      const proof = typeof token === "function" ? await token() : token;
      if (this.#socket !== attempt) return; // closed meanwhile
      socket = new WebSocket(this.#url, proof === undefined ? ["netra.v1"] : ["netra.v1", `bearer.${proof}`]);
    } catch (error) {
      if (this.#socket !== attempt) return;
      // A token that no header can carry is none; else it could not be had now.
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

  /** Scripts see no pings of the protocol: after a silence ask, and after a second one take the connection for dead. */
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
    const mayAskAgain = code === UNAUTHENTICATED && typeof this.#options.token === "function" && this.#failures < 2;
    if (isTerminal(code) && !mayAskAgain) return this.#leave(code);
    const { random } = this.#options;
    let pause = random() * Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#failures);
    if (code === REPLACED) pause += REPLACED_PAUSE[0] + random() * (REPLACED_PAUSE[1] - REPLACED_PAUSE[0]);
    this.#failures += 1; // back to 0 at a hello only: an open socket alone proves nothing
    this.#isReplaced = code === REPLACED;
    this.#timer = setTimeout(() => this.#open(), pause);
    this.#become("waiting");
  }

  /** The network is back: nothing is gained by waiting, unless for other tabs. */
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
      run = new Run(event.run_id); // also where the server has forgotten a run, and its id is used again
      this.runs.delete(event.run_id);
      this.runs.set(event.run_id, run);
    }
    if (event.seq <= run.seq) {
      this.duplicates += 1;
      return;
    }
    if (event.seq > run.seq + 1) {
      if (this.#isResuming) return; // what is missing, and this one again, comes after the hello
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
