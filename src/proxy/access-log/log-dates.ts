// Dates of log lines in the two forms that HAProxy has. What the lines of one second share is put together once.

const months: readonly string[] = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

let localSecond = -1;
let localText = '';

/** `21/Nov/2026:14:27:34`, in local time. `atMs`: since the epoch. */
export function localDate(atMs: number): string {
  const second = Math.floor(atMs / 1000);
  if (second !== localSecond) {
    const at = new Date(second * 1000);
    localText = `${two(at.getDate())}/${months[at.getMonth()]}/${at.getFullYear()}:${clock(at)}`;
    localSecond = second;
  }
  return localText;
}

/** `21/Nov/2026:14:27:34.543`, in local time. */
export function localMoment(atMs: number): string {
  return `${localDate(atMs)}.${three(Math.floor(atMs) % 1000)}`;
}

/** `21/Nov/2026:14:27:34 +0100`. */
export function zonedDate(atMs: number): string {
  const minutes = -new Date(atMs).getTimezoneOffset();
  const ahead = Math.abs(minutes);
  return `${localDate(atMs)} ${minutes < 0 ? '-' : '+'}${two(Math.floor(ahead / 60))}${two(ahead % 60)}`;
}

/** `21/Nov/2026:13:27:34 +0000`. */
export function universalDate(atMs: number): string {
  const at = new Date(atMs);
  const day = `${two(at.getUTCDate())}/${months[at.getUTCMonth()]}/${at.getUTCFullYear()}`;
  return `${day}:${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())} +0000`;
}

/** `Nov  1 14:27:34`, in local time: the date of a syslog header (RFC 3164 4.1.2). */
export function syslogDate(atMs: number): string {
  const at = new Date(atMs);
  return `${months[at.getMonth()]} ${String(at.getDate()).padStart(2)} ${clock(at)}`;
}

function clock(at: Date): string {
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

function three(value: number): string {
  return String(value).padStart(3, '0');
}
