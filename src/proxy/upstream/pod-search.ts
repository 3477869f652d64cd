// The search for the Endpoint that a request goes to, or a connection that is passed through: picks one, waits for a place
// with it where the Route lets each have only so many, tries others where it cannot be reached, and lets the pods of an idled
// Service come. Used again for the next request.

import type { PathRule } from '../../table/entries.ts';
import type { RouteTable } from '../../table/route-table.ts';
import type { ProxyContext } from '../context.ts';
import type { Security } from '../health/endpoint-health.ts';
import type { ExchangeTallies } from '../tallies/exchange-tallies.ts';
import type { Pick } from './balancer.ts';
import type { Load } from './loads.ts';
import type { Place, PlaceSeeker, PlaceWish, RoutePlaces } from './route-places.ts';
import type { ConnectFailure } from './upstream.ts';
import { pauseAfter, withoutIdled } from './waking.ts';

/** Further tries before the client is let down (Route semantics 5.7). */
const maxRetries = 3;

/** Why nobody takes it. */
export type PodAbsence = 'no-endpoint' | 'endpoints-down' | 'connect-failed' | 'pods-busy';

/** Who searches. Of each `seek` comes one of the first three, within the call or after a wait. */
export interface PodSearchUser {
  /** It goes to this Endpoint, and is with no other any more. */
  onPod(pick: Pick): void;
  onNoPod(reason: PodAbsence, detail: string | null): void;
  /** Its Route has gone while it waited. */
  onRouteGone(): void;
  /** Is to call `waited` in so many ms, unless one of the others comes before. */
  onWait(ms: number): void;
}

export class PodSearch implements PlaceSeeker {
  /** Address of the client. */
  readonly source: string;
  /** The name by which the client asked. */
  hostName = '';
  /** What the client says of the Endpoint that it had before; empty for nothing. */
  cookie = '';
  /** The Endpoint that was asked last. */
  pick: Pick | null = null;
  /** Tries behind the first. */
  retries = 0;
  /** How long it has waited for a place with a pod. */
  queuedMs = 0;
  readonly #context: ProxyContext;
  readonly #tallies: ExchangeTallies | null;
  #user: PodSearchUser | null = null;
  #rule: PathRule | null = null;
  /** Authorities. */
  #tried: string[] = [];
  /** Why the next try is one more; it counts when there is somebody to ask. */
  #again: ConnectFailure | 'stale' | null = null;
  /** It lets the pods of an idled Service come before it tries again. */
  #pausing = false;
  /** Where it waits for a place, and since when. */
  #queue: RoutePlaces | null = null;
  #waitsSinceMs = 0;
  /** Of the Endpoint that has the request or connection now; and the place with it, where the Route limits those. */
  #load: Load | null = null;
  #place: Place | null = null;

  constructor(context: ProxyContext, source: string, tallies: ExchangeTallies | null) {
    this.#context = context;
    this.source = source;
    this.#tallies = tallies;
  }

  /** Forgets the last request. */
  reset(): void {
    this.cookie = '';
    this.pick = null;
    this.retries = 0;
    this.queuedMs = 0;
    this.#again = null;
    if (this.#tried.length > 0) this.#tried = [];
  }

  /** What `seek` is to find an Endpoint for. */
  begin(rule: PathRule, hostName: string, user: PodSearchUser): void {
    this.#rule = rule;
    this.hostName = hostName;
    this.#user = user;
  }

  /** Looks for an Endpoint that has not been tried. */
  seek(): void {
    const rule = this.#rule;
    if (rule === null) return;
    const { balancer, podPlaces, settings } = this.#context;
    const table = this.#context.table();
    if (rule.podConnections === null) {
      this.#found(balancer.pick(rule, table, this.#tried, this), rule, table, null);
      return;
    }
    this.leave();
    const places = podPlaces.of(rule, rule.podConnections);
    const pick = podPlaces.pick(places, rule, table, this.#tried, this);
    if (pick === null || 'endpoint' in pick) {
      this.#found(pick, rule, table, places);
    } else if (places.wait(this, pick)) {
      this.#queue = places;
      this.#waitsSinceMs = performance.now();
      this.#tallies?.waits();
      this.#user?.onWait(settings.connectTimeoutMs);
    } else {
      this.#user?.onNoPod('pods-busy', 'too many wait already');
    }
  }

  /** The Endpoint cannot be reached: looks for another one. */
  failed(failure: ConnectFailure): void {
    this.#tallies?.connectFailed();
    if (this.pick !== null) this.#tried.push(this.pick.endpoint.authority);
    if (this.mayRetry(failure)) this.seek();
    else this.#user?.onNoPod('connect-failed', failure);
  }

  /** Whether there may be one more try; `seek` then is one, for this reason. */
  mayRetry(reason: ConnectFailure | 'stale'): boolean {
    if (this.retries === maxRetries) return false;
    this.#again = reason;
    return true;
  }

  /** The time has passed for which `onWait` asked. False: it does not wait any more. */
  waited(): boolean {
    if (this.#pausing) {
      this.#pausing = false;
      this.seek();
      return true;
    }
    if (this.#queue === null) return false;
    this.#stopWaiting();
    this.#user?.onNoPod('pods-busy', null);
    return true;
  }

  /** Waits for nobody any more. */
  stop(): void {
    this.#pausing = false;
    if (this.#queue !== null) this.#stopWaiting();
  }

  takePlace(): PlaceWish | null {
    const rule = this.#rule;
    const places = this.#queue;
    if (rule === null || places === null) return null;
    const table = this.#context.table();
    const pick = this.#context.podPlaces.pick(places, rule, table, this.#tried, this);
    if (pick !== null && 'pod' in pick) return pick;
    this.#stopWaiting();
    this.#found(pick, rule, table, places);
    return null;
  }

  ruleChanged(rule: PathRule): void {
    // Where pods are spoken to otherwise by now, the old ones are the only ones that it could go to.
    if (this.#rule?.termination === rule.termination) this.#rule = rule;
  }

  routeGone(): void {
    this.#stopWaiting();
    this.#user?.onRouteGone();
  }

  /** The Endpoint has answered as a whole. */
  answered(security: Security): void {
    if (this.#load !== null) this.#load.answeredMs[security] = this.#context.deadlines.nowMs;
  }

  /** The request or connection is with no Endpoint any more. */
  leave(): void {
    this.#tallies?.leave();
    if (this.#load === null) return;
    this.#load.active--;
    this.#load = null;
    const place = this.#place;
    if (place === null) return;
    this.#place = null;
    place.release();
  }

  /** `places`: those of the Route, where it has a limit. */
  #found(pick: Pick | null, rule: PathRule, table: RouteTable, places: RoutePlaces | null): void {
    const again = this.#again;
    if (pick === null) {
      this.#nobody(again === 'stale' ? null : again, rule, table);
      return;
    }
    const { balancer, deadlines, metrics } = this.#context;
    if (again !== null) {
      this.#again = null;
      this.retries++;
      this.#tallies?.retried();
      metrics.series('headgate_upstream_retries_total', again).value++;
    }
    this.leave();
    this.#tallies?.goesTo(pick.endpoint, this.pick === null ? null : this.pick.endpoint, deadlines.nowMs);
    this.pick = pick;
    this.#load = balancer.loadOf(pick.endpoint);
    this.#load.active++;
    if (places !== null) this.#place = places.take(pick.endpoint);
    this.#user?.onPod(pick);
  }

  /** Nobody is left: the address of an idled Service, whose pods may be coming, is tried again after a while. */
  #nobody(failure: ConnectFailure | null, rule: PathRule, table: RouteTable): void {
    if (failure === null) {
      this.#user?.onNoPod(this.#context.balancer.absence(rule, table), null);
      return;
    }
    const tried = withoutIdled(this.#tried, rule, table);
    if (tried.length === this.#tried.length) {
      this.#user?.onNoPod('connect-failed', failure);
      return;
    }
    this.#tried = tried;
    this.leave();
    this.#pausing = true;
    this.#user?.onWait(pauseAfter(failure, this.#context.settings.connectTimeoutMs));
  }

  #stopWaiting(): void {
    this.queuedMs += performance.now() - this.#waitsSinceMs;
    this.#tallies?.waitsNoMore();
    this.#queue?.stopWaiting(this);
    this.#queue = null;
  }
}
