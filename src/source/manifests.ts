// The objects that the router reads, as facts: every default in place, everything that the CRD refuses kept out.

declare const keyBrand: unique symbol;

/** `Route/namespace/name`, or `Namespace/name`: one object, whatever it holds. */
export type ManifestKey = string & { readonly [keyBrand]: true };

/** A Service that a Route names. Weight 0..256; 100 where none is given, as the API defaults it (Route semantics 1.1). */
export type WeightedService = { readonly name: string; readonly weight: number };

/** `spec.tls` of a Route (Route semantics 1.3). Absent strings are empty; whether the parts fit together is admission's to say. */
export type RouteTls = {
  /** As given but in lower case, as the OpenShift API server stores it (Route semantics 1.7). */
  readonly termination: string;
  readonly certificate: string;
  readonly key: string;
  readonly caCertificate: string;
  readonly destinationCaCertificate: string;
  readonly insecurePolicy: string;
  /** The name of a Secret in the Route's namespace. */
  readonly externalCertificate: string;
};

/** One header action of a Route; a value of null deletes (Route semantics 1.4). Its grammar is checked. */
export type HeaderActionSpec = { readonly name: string; readonly value: string | null };

/** `spec.httpHeaders.actions` of a Route, in order. */
export type HeaderActionLists = {
  readonly request: readonly HeaderActionSpec[];
  readonly response: readonly HeaderActionSpec[];
};

/** One entry of `status.ingress`, as it was read: what other routers wrote must go back as it came. */
export type IngressEntry = Readonly<Record<string, unknown>>;

/** What a Route's status held at a version of it (Route semantics 1.5). */
export type RouteStatus = { readonly resourceVersion: string; readonly ingress: readonly IngressEntry[] };

/** A Route, with the defaults of the API in place. Absent strings are empty. */
export type RouteManifest = {
  readonly kind: 'Route';
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Epoch milliseconds; 0 where absent, which counts as oldest. */
  readonly createdMs: number;
  readonly generation: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly host: string;
  readonly subdomain: string;
  readonly path: string;
  readonly to: WeightedService;
  /** One entry a Service, none of them `to` (Route semantics 1.1, notes). */
  readonly alternateBackends: readonly WeightedService[];
  /** A port number or a port name. */
  readonly targetPort: string;
  /** `None` where empty or absent; otherwise as given. */
  readonly wildcardPolicy: string;
  readonly tls: RouteTls | null;
  readonly headerActions: HeaderActionLists;
  /** Why the rest of it cannot be read, as a field error; empty for every sound Route. */
  readonly fault: string;
  readonly status: RouteStatus;
};

/** One port of a Service. `targetPort` is a number or a name; the port's own number where absent. */
export type ServicePort = {
  readonly name: string;
  readonly port: number;
  readonly targetPort: string;
  readonly protocol: string;
  readonly appProtocol: string;
};

/** A Service, as far as routing asks for it. */
export type ServiceManifest = {
  readonly kind: 'Service';
  readonly namespace: string;
  readonly name: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly type: string;
  readonly clusterIp: string;
  readonly ports: readonly ServicePort[];
};

/** One endpoint of a slice. Absent conditions: ready, serving as ready, not terminating. `pod` is empty where the target is no Pod. */
export type SliceEndpoint = {
  readonly addresses: readonly string[];
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly pod: string;
};

/** One port of a slice: the pod's own port number. */
export type SlicePort = {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  readonly appProtocol: string;
};

/** An EndpointSlice. `service` is its label `kubernetes.io/service-name`; ports without a number that can be dialled are left out. */
export type EndpointSliceManifest = {
  readonly kind: 'EndpointSlice';
  readonly namespace: string;
  readonly name: string;
  readonly service: string;
  readonly addressType: string;
  readonly endpoints: readonly SliceEndpoint[];
  readonly ports: readonly SlicePort[];
};

/** A Secret: `data` decoded to text, with `stringData` over it. */
export type SecretManifest = {
  readonly kind: 'Secret';
  readonly namespace: string;
  readonly name: string;
  readonly type: string;
  readonly data: Readonly<Record<string, string>>;
};

/** A Secret that cannot be had, and why. What the API server said of it may be shown to the Route's owner. */
export type SecretFault = {
  readonly kind: 'SecretFault';
  readonly namespace: string;
  readonly name: string;
  /** What the router's service account may not do with it: some of `get`, `watch` and `list`. */
  readonly denied: readonly string[];
  /** `absent`: there is no such Secret. `unreadable`: the API server refused or failed, as `message` says. */
  readonly read: 'absent' | 'unreadable' | 'not-tried';
  readonly message: string;
};

/** A Namespace: its labels say whether its Routes are in the shard. */
export type NamespaceManifest = {
  readonly kind: 'Namespace';
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
};

/** Every object that the router reads. */
export type Manifest =
  | RouteManifest
  | ServiceManifest
  | EndpointSliceManifest
  | SecretManifest
  | SecretFault
  | NamespaceManifest;

/** A difference in what a source tells: the newest manifest of an object, or undefined once nothing provides it. */
export type ManifestEvent = { readonly key: ManifestKey; readonly manifest: Manifest | undefined };

/** The key of an object: the same for every version of it. */
export function manifestKey(manifest: Manifest): ManifestKey {
  switch (manifest.kind) {
    case 'Namespace':
      return `Namespace/${manifest.name}` as ManifestKey;
    case 'SecretFault':
      return `Secret/${manifest.namespace}/${manifest.name}` as ManifestKey;
    default:
      return `${manifest.kind}/${manifest.namespace}/${manifest.name}` as ManifestKey;
  }
}
