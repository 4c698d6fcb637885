// The API as the page uses it. Errors are Problems, whose message is made to be read by people.

const KEY = "cadenza-key";

export class Problem extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

const SENDABLE = /^[\x21-\x7e]+$/; // in a header

export const key = () => localStorage.getItem(KEY);

/** Keep a key that the server takes; another would lock the page at every visit. */
export async function useKey(value) {
  if (!SENDABLE.test(value)) throw new Problem("A key has plain letters, digits and signs only, and no spaces: copy the whole of it again.");
  await ask("/v1/models", { secret: value });
  localStorage.setItem(KEY, value);
}

export const forgetKey = () => localStorage.removeItem(KEY);

export async function ask(path, { method = "GET", json, body, signal, secret = key() } = {}) {
  const headers = {};
  if (secret) headers.Authorization = `Bearer ${secret}`;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    body = json === undefined ? body : JSON.stringify(json);
    answer = await fetch(path, { method, headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server cannot be reached. Is it still running?");
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  if (answer.status === 401) document.dispatchEvent(new Event("locked"));
  throw new Problem(problem.detail ?? `The server answered ${answer.status}.`, answer.status);
}

export const get = async (path) => (await ask(path)).json();

export const submit = async (kind, request) =>
  (await ask("/v1/jobs", { method: "POST", json: { kind, request } })).json();

export const cancel = (id) => ask(`/v1/jobs/${id}`, { method: "DELETE" });

export const upload = async (blob, name) =>
  (await ask(`/v1/uploads?name=${encodeURIComponent(name.slice(0, 100))}`, { method: "POST", body: blob })).json();

const OVER = new Set(["done", "failed", "cancelled"]);
export const isOver = (job) => OVER.has(job.state);
