// What the server is asked for, and its news by WebSocket.

async function answered(path, options) {
  const answer = await fetch(path, { credentials: "same-origin", ...options });
  if (answer.ok) return answer;
  let sentence = `The server answered ${answer.status}.`;
  try {
    sentence = (await answer.clone().json()).error || sentence;
  } catch {
    sentence = (await answer.text()) || sentence;
  }
  throw Object.assign(new Error(sentence), { status: answer.status });
}

export const json = async (path, options) => (await answered(path, options)).json();

export const post = (path, body) =>
  json(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

export const put = (path, body) => json(path, { method: "PUT", body });

export const blob = async (path) => (await answered(path)).blob();

/** Return a picture: its facts, and one grey value for each of its pixels. */
export async function picture(path) {
  const answer = await answered(path);
  const facts = JSON.parse(answer.headers.get("x-picture"));
  return { ...facts, pixels: new Uint8Array(await answer.arrayBuffer()) };
}

/** Return the outlines of a frame as [{id, y, x}], in nm. */
export async function outlines(path) {
  const buffer = await (await answered(path)).arrayBuffer();
  const number = new Int32Array(buffer, 0, 1)[0];
  const head = new Int32Array(buffer, 4, 2 * number);
  const places = new Float32Array(buffer, 4 + 8 * number);
  const found = [];
  let at = 0;
  for (let k = 0; k < number; k++) {
    const length = head[number + k];
    found.push({ id: head[k], places: places.subarray(2 * at, 2 * (at + length)) });
    at += length;
  }
  return found;
}

/** Tell `heard(state)` what is new until the returned function is called; the newest state wins where we are slow. */
export function follow(view, heard, connected) {
  let socket = null;
  let over = false;
  let wait = 500;
  const open = () => {
    if (over) return;
    socket = new WebSocket(`ws://${location.host}/api/${view}/news`);
    const ready = () => socket.readyState === WebSocket.OPEN && socket.send('{"ready":true}');
    socket.onopen = () => {
      wait = 500;
      connected(true);
      ready();
    };
    socket.onmessage = async (event) => {
      if (over) return;
      try {
        await heard(JSON.parse(event.data));
      } finally {
        ready();
      }
    };
    socket.onclose = () => {
      if (over) return;
      connected(false);
      setTimeout(open, wait);
      wait = Math.min(2 * wait, 8000);
    };
  };
  open();
  return () => {
    over = true;
    if (socket) socket.close();
  };
}
