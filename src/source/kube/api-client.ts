// The way to the API server: authentication and TLS as client-node's KubeConfig knows them, requests by undici. Nothing
// else in the house speaks to it.

import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { type Dispatcher, request } from 'undici';
import { contentOf } from '../files/documents.ts';

/** How the API server is reached. */
export type ApiAccess = {
  /** A kubeconfig file; empty for the service account of the pod. */
  readonly kubeconfig: string;
  /** A URL in place of the one that the kubeconfig or the pod's environment names; empty for that one. */
  readonly apiServer: string;
};

/** Query parameters of a request; empty ones are left out. */
export type Query = Readonly<Record<string, string>>;

/** An answer of the API server that is no success, or that never came (`code` 0). */
export class ApiError extends Error {
  override name = 'ApiError';
  /** The HTTP status, or that of a Status object; 0 where there was no answer. */
  readonly code: number;
  /** The reason of a Status object, such as `Expired`; empty where there is none. */
  readonly reason: string;
  /** What `Retry-After` asked for; 0 where it asked for nothing. */
  readonly retryAfterMs: number;

  constructor(code: number, reason: string, message: string, retryAfterMs: number = 0) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

const maxAnswerBytes = 256 << 20;
const maxErrorBytes = 64 << 10;
const answerTimeoutMs = 30_000;
const maxRetryAfterMs = 300_000;

export class ApiClient {
  readonly #access: ApiAccess;
  #kubeConfig: KubeConfig | null = null;
  #dispatcher: Dispatcher | null = null;
  readonly #closing: AbortController = new AbortController();

  constructor(access: ApiAccess) {
    this.#access = access;
  }

  /** Reads the kubeconfig, or the pod's own account. Throws an Error that says what is wrong with it. */
  open(): void {
    this.#kubeConfig = loadKubeConfig(this.#access);
  }

  /** The object at a path. Throws ApiError; the caller's signal ends it. */
  async get(path: string, query: Query = {}, signal: AbortSignal | null = null): Promise<unknown> {
    return await this.#exchange('GET', path, query, null, signal);
  }

  /** What is answered to a new object. Throws ApiError; the caller's signal ends it. */
  async post(path: string, body: unknown, signal: AbortSignal | null = null): Promise<unknown> {
    return await this.#exchange('POST', path, {}, { type: 'application/json', body }, signal);
  }

  /** Applies a merge patch (RFC 7386): lists are replaced whole. */
  async mergePatch(path: string, body: unknown): Promise<unknown> {
    return await this.#exchange('PATCH', path, {}, { type: 'application/merge-patch+json', body });
  }

  /** Opens a watch: what comes is the raw body. Throws ApiError where it is refused. The caller's signal ends it. */
  async watch(path: string, query: Query, signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
    const response = await this.#send('GET', path, query, null, signal, 0);
    return response.body;
  }

  /** Ends all requests. */
  close(): void {
    this.#closing.abort(new ApiError(0, '', 'closed'));
    void this.#dispatcher?.destroy();
  }

  async #exchange(
    method: 'GET' | 'POST' | 'PATCH',
    path: string,
    query: Query,
    content: { readonly type: string; readonly body: unknown } | null = null,
    signal: AbortSignal | null = null,
  ): Promise<unknown> {
    const { body } = await this.#send(method, path, query, content, signal, answerTimeoutMs);
    try {
      return JSON.parse((await bytesOf(body, maxAnswerBytes)).toString('utf8'));
    } catch (error) {
      throw asApiError(error, 'the answer cannot be read');
    }
  }

  async #send(
    method: 'GET' | 'POST' | 'PATCH',
    path: string,
    query: Query,
    content: { readonly type: string; readonly body: unknown } | null,
    signal: AbortSignal | null,
    bodyTimeout: number,
  ): Promise<Dispatcher.ResponseData> {
    let used: Dispatcher | null = null;
    let response: Dispatcher.ResponseData;
    try {
      const { server, dispatcher, headers } = await this.#authenticated();
      used = dispatcher;
      // A server may be behind a path of its own.
      const url = new URL(server.replace(/\/+$/, '') + path);
      for (const [name, value] of Object.entries(query)) if (value !== '') url.searchParams.set(name, value);
      response = await request(url, {
        dispatcher,
        method,
        headers: {
          accept: 'application/json',
          'user-agent': 'headgate',
          ...(content === null ? {} : { 'content-type': content.type }),
          ...headers,
        },
        body: content === null ? null : JSON.stringify(content.body),
        signal: signal === null ? this.#closing.signal : AbortSignal.any([this.#closing.signal, signal]),
        headersTimeout: answerTimeoutMs,
        bodyTimeout,
      });
    } catch (error) {
      // A certificate of an authority that is new, or a connection that is dead and does not know it.
      this.#distrust(used);
      throw asApiError(error, 'the API server cannot be reached');
    }
    if (response.statusCode < 300) return response;
    if (response.statusCode === 401) this.#distrust(used);
    throw await refusal(response);
  }

  /**
   * The next request reads credentials and authorities again, which may have rotated, and makes a connection of its own;
   * unless one has done so since.
   */
  #distrust(used: Dispatcher | null): void {
    if (used === this.#dispatcher) this.#kubeConfig = null;
  }

  async #authenticated(): Promise<{
    server: string;
    dispatcher: Dispatcher;
    headers: Readonly<Record<string, string>>;
  }> {
    if (this.#kubeConfig === null) {
      this.#kubeConfig = loadKubeConfig(this.#access);
      this.#dispatcher = null;
    }
    const kubeConfig = this.#kubeConfig;
    const headers: Record<string, string> = {};
    let offered: Dispatcher | null = null;
    await kubeConfig.applySecurityAuthentication({
      setHeaderParam: (name: string, value: string) => {
        headers[name.toLowerCase()] = value;
      },
      setDispatcher: (dispatcher: Dispatcher) => {
        offered = dispatcher;
      },
      // Only these two are called; the whole request context is client-node's own affair.
    } as unknown as Parameters<KubeConfig['applySecurityAuthentication']>[0]);
    // A new one is offered each time; one is kept, for its open connections.
    this.#dispatcher ??= offered;
    const server = kubeConfig.getCurrentCluster()?.server ?? '';
    if (this.#dispatcher === null) throw new ApiError(0, '', `there is no way to ${server}`);
    return { server, dispatcher: this.#dispatcher, headers };
  }
}

function loadKubeConfig({ kubeconfig, apiServer }: ApiAccess): KubeConfig {
  const config = new KubeConfig();
  try {
    if (kubeconfig === '') {
      config.loadFromCluster();
      // client-node says nothing of a missing file until a request fails in an odd way.
      readFileSync(config.getCurrentCluster()?.caFile ?? '');
    } else {
      config.loadFromFile(kubeconfig);
      useTokenFiles(config, kubeconfig);
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const what = kubeconfig === '' ? 'the files of the service account' : `the kubeconfig ${kubeconfig}`;
    throw new ApiError(0, '', `${what} cannot be read: ${code ?? message.split('\n', 1)[0]}`);
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null || config.getCurrentUser() === null) {
    throw new ApiError(0, '', `the kubeconfig ${kubeconfig} has no current context with a cluster and a user`);
  }
  if (apiServer !== '') config.clusters = [{ ...cluster, server: apiServer }];
  return config;
}

/** `tokenFile` of a kubeconfig's user, which client-node passes over: it is read anew as a pod's token is. */
function useTokenFiles(config: KubeConfig, kubeconfig: string): void {
  const content = contentOf(readFileSync(kubeconfig, 'utf8'), 'yaml');
  const [document] = content.kind === 'objects' ? content.objects : [];
  const { users } = (document ?? {}) as {
    users?: readonly { name?: unknown; user?: { tokenFile?: unknown } | null }[];
  };
  const files = new Map((users ?? []).map(({ name, user }) => [name, user?.tokenFile]));
  config.users = config.users.map((user) => {
    const file = files.get(user.name);
    if (typeof file !== 'string' || user.token) return user;
    const tokenFile = resolve(dirname(kubeconfig), file);
    return { ...user, authProvider: { name: 'tokenFile', config: { tokenFile } } };
  });
}

async function refusal({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<ApiError> {
  const retryAfter = Number(headers['retry-after'] ?? 0);
  const retryAfterMs = retryAfter > 0 ? Math.min(retryAfter * 1000, maxRetryAfterMs) : 0;
  const text = await bytesOf(body, maxErrorBytes).then(String, () => '');
  try {
    const { reason, message } = JSON.parse(text) as { reason?: unknown; message?: unknown };
    return new ApiError(statusCode, String(reason ?? ''), String(message ?? `HTTP ${statusCode}`), retryAfterMs);
  } catch {
    return new ApiError(statusCode, '', `HTTP ${statusCode}`, retryAfterMs);
  }
}

async function bytesOf(body: AsyncIterable<Buffer>, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > maxBytes) throw new ApiError(0, '', `the answer has more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Any failure as an ApiError, with the system's code, which says more than undici's message. */
export function asApiError(error: unknown, what: string): ApiError {
  if (error instanceof ApiError) return error;
  const { code, message, cause } = error as { code?: unknown; message?: unknown; cause?: { code?: unknown } };
  return new ApiError(0, '', `${what}: ${String(cause?.code ?? code ?? message ?? error)}`);
}
