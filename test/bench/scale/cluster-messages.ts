// What the bench and the process with the cluster say to one another.

export type ClusterSize = {
  readonly routes: number;
  readonly services: number;
  readonly endpointsPerService: number;
};

export type ChangePlan = {
  readonly changes: number;
  /** Changes of EndpointSlices in a second meanwhile. */
  readonly churn: number;
};

/** How one Route was changed, and how long it took until its status said that every worker serves the change. */
export type ChangeTime = { readonly how: 'service' | 'certificate'; readonly ms: number };

export type ChangeTimes = {
  readonly times: readonly ChangeTime[];
  /** Those whose status never came. */
  readonly missing: number;
  /** Changes of EndpointSlices that were made in a second. */
  readonly churned: number;
};

export type ClusterOrders = {
  /** Makes the API server and what is in it. */
  open: { readonly asked: ClusterSize; readonly answer: { readonly kubeconfig: string; readonly authority: string } };
  /** How many Routes have a status. */
  statuses: { readonly asked: null; readonly answer: number };
  change: { readonly asked: ChangePlan; readonly answer: ChangeTimes };
};

export type Order = {
  readonly [Kind in keyof ClusterOrders]: {
    readonly id: number;
    readonly kind: Kind;
    readonly asked: ClusterOrders[Kind]['asked'];
  };
}[keyof ClusterOrders];

export type Answer = { readonly id: number; readonly value: unknown; readonly problem: string | null };
