{{/*
What values.schema.json cannot see: values that are each right but not together. All problems are told at once.
*/}}
{{- define "headgate.validate" -}}
{{- $problems := list -}}
{{- $values := .Values -}}
{{- $context := dict "root" . -}}

{{- $needed := include "headgate.stopSeconds" $context | int -}}
{{- with $values.terminationGracePeriodSeconds -}}
{{- if lt (int .) $needed -}}
{{- $problems = append $problems (printf "terminationGracePeriodSeconds: %d is less than the %d seconds that stopping takes (preStop, delay, timeout and margin of shutdown)" (int .) $needed) -}}
{{- end -}}
{{- end -}}
{{- if and $values.lifecycle $values.shutdown.preStopSleepSeconds -}}
{{- $problems = append $problems "lifecycle and shutdown.preStopSleepSeconds: only one of them may be used" -}}
{{- end -}}
{{- if and (gt (int (include "headgate.preStopSeconds" $context)) 0) (semverCompare "<1.30.0-0" .Capabilities.KubeVersion.Version) -}}
{{- $problems = append $problems "shutdown.preStopSleepSeconds: the preStop sleep needs Kubernetes 1.30" -}}
{{- end -}}

{{- with $values.ports -}}
{{- if ne (len (uniq (list (int .http) (int .https) (int .admin)))) 3 -}}
{{- $problems = append $problems "ports: each port must be another" -}}
{{- end -}}
{{- if and $values.hostNetwork (lt (int (min (int .http) (int .https) (int .admin))) 1024) -}}
{{- $problems = append $problems "ports: with hostNetwork they must be 1024 or above, as ports below need privileges on the node" -}}
{{- end -}}
{{- end -}}
{{- if and $values.hostNetwork $values.hostPort.enabled -}}
{{- $problems = append $problems "hostPort and hostNetwork: only one of them may be used" -}}
{{- end -}}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" -}}
{{- if or (hasKey $values.commonLabels $label) (hasKey $values.podLabels $label) -}}
{{- $problems = append $problems (printf "commonLabels and podLabels: pods are selected by %s, so it is the chart's own" $label) -}}
{{- end -}}
{{- end -}}
{{- if and $values.metrics.serviceMonitor.enabled (not $values.metrics.enabled) -}}
{{- $problems = append $problems "metrics.serviceMonitor: needs metrics.enabled" -}}
{{- end -}}
{{- if and $values.metrics.serviceMonitor.enabled $values.metrics.podMonitor.enabled -}}
{{- $problems = append $problems "metrics.serviceMonitor and metrics.podMonitor: only one of them may be used, as everything would be counted twice" -}}
{{- end -}}
{{- if and $values.metrics.readers (not $values.metrics.auth) (eq (include "headgate.metricsAuth" .) "none") -}}
{{- $problems = append $problems "metrics.readers: the router may not ask who they are, as every shard names a namespace, so everybody may read metrics; say metrics.auth none if that is meant" -}}
{{- end -}}
{{- if eq (include "headgate.metricsAuth" .) "openshift" -}}
{{- if and $values.metrics.podMonitor.enabled (not $values.metrics.serviceMonitor.authorization) -}}
{{- $problems = append $problems "metrics.podMonitor: needs a token in metrics.serviceMonitor.authorization, or metrics.auth none" -}}
{{- end -}}
{{- if and $values.rbac.create (not (include "headgate.clusterWide" .)) -}}
{{- $problems = append $problems "metrics.auth: openshift needs rights beyond namespaces, and every shard names one" -}}
{{- end -}}
{{- end -}}

{{- $names := list -}}
{{- $identities := list -}}
{{- $claims := list -}}
{{- range $instance := include "headgate.instances" . | fromJsonArray -}}
{{- $shard := $instance.shard -}}
{{- $own := $instance.values -}}
{{- $where := ternary (printf "shard %s: " $shard.name) "" (gt (len $values.shards) 0) -}}

{{- if has $instance.name $names -}}
{{- $problems = append $problems (printf "%sanother shard has objects of the name %s" $where $instance.name) -}}
{{- end -}}
{{- $names = append $names $instance.name -}}
{{- $identity := printf "%s %s" $instance.routerName $instance.index -}}
{{- if has $identity $identities -}}
{{- $problems = append $problems (printf "%sanother shard writes into the status of Routes as %s, and they would fight over it" $where $instance.routerName) -}}
{{- end -}}
{{- $identities = append $identities $identity -}}

{{- $selections := list -}}
{{- range $key := list "namespace" "namespaceLabels" "projectLabels" -}}
{{- if get $shard $key }}{{ $selections = append $selections $key }}{{ end -}}
{{- end -}}
{{- if gt (len $selections) 1 -}}
{{- $problems = append $problems (printf "%s%s: only one of them may be used" $where (join " and " $selections)) -}}
{{- end -}}
{{- if and (or $shard.overrideHostname $shard.overrideDomains) (not $shard.hostnameTemplate) -}}
{{- $problems = append $problems (printf "%soverrideHostname and overrideDomains need hostnameTemplate" $where) -}}
{{- end -}}

{{- if eq $instance.index "pod" -}}
{{- if eq $own.kind "DaemonSet" -}}
{{- $problems = append $problems (printf "%shash.count: the pods of a DaemonSet have no numbers; name hash.index, or use another kind" $where) -}}
{{- end -}}
{{- if $own.autoscaling.enabled -}}
{{- $problems = append $problems (printf "%sautoscaling: each pod of this StatefulSet is a shard of its own, so their number is hash.count" $where) -}}
{{- end -}}
{{- else if $instance.index -}}
{{- if ge (int $instance.index) (int $instance.count) -}}
{{- $problems = append $problems (printf "%shash.index: %s is not below hash.count (%d)" $where $instance.index (int $instance.count)) -}}
{{- end -}}
{{- end -}}

{{- if and $own.autoscaling.enabled (eq $own.kind "DaemonSet") -}}
{{- $problems = append $problems (printf "%sautoscaling: the nodes decide how many pods a DaemonSet has" $where) -}}
{{- end -}}
{{- if and $own.autoscaling.enabled (gt (int $own.autoscaling.minReplicas) (int $own.autoscaling.maxReplicas)) -}}
{{- $problems = append $problems (printf "%sautoscaling: minReplicas is above maxReplicas" $where) -}}
{{- end -}}
{{- /* Without any metric the API server aims at 80 % CPU. */ -}}
{{- with $own.autoscaling -}}
{{- if and .enabled (not (or .targetCPUUtilizationPercentage .targetMemoryUtilizationPercentage .metrics)) -}}
{{- $problems = append $problems (printf "%sautoscaling: one of targetCPUUtilizationPercentage, targetMemoryUtilizationPercentage and metrics must be there" $where) -}}
{{- end -}}
{{- end -}}
{{- if and $own.service.enabled (not $own.service.ports.http) (not $own.service.ports.https) -}}
{{- $problems = append $problems (printf "%sservice.ports: one of http and https must be there" $where) -}}
{{- end -}}

{{- with $own.service -}}
{{- $wanted := list -}}
{{- if and .enabled (ne .type "ClusterIP") -}}
{{- $checked := and (eq .type "LoadBalancer") (ne .externalTrafficPolicy "Cluster") | ternary .healthCheckNodePort nil -}}
{{- range list .nodePorts.http .nodePorts.https $checked -}}
{{- if . }}{{ $wanted = append $wanted (printf "node port %d" (int .)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and .enabled .clusterIP (ne .clusterIP "None") -}}
{{- $wanted = append $wanted (printf "clusterIP %s" .clusterIP) -}}
{{- end -}}
{{- range $claim := $wanted -}}
{{- if or (has $claim $claims) (eq $instance.index "pod") -}}
{{- $problems = append $problems (printf "%sservice: only one Service can have the %s; set it in each entry of shards" $where $claim) -}}
{{- end -}}
{{- $claims = append $claims $claim -}}
{{- end -}}
{{- end -}}

{{- with $own.podDisruptionBudget -}}
{{- if and .enabled (kindIs "invalid" .maxUnavailable) (kindIs "invalid" .minAvailable) -}}
{{- $problems = append $problems (printf "%spodDisruptionBudget: one of maxUnavailable and minAvailable must be there" $where) -}}
{{- end -}}
{{- end -}}

{{- /* A variable that is there twice is refused by server-side apply, or one of them silently goes. */ -}}
{{- $variables := list -}}
{{- range include "headgate.env" (dict "root" $ "instance" $instance) | fromYamlArray -}}
{{- if has .name $variables -}}
{{- $problems = append $problems (printf "%sextraEnvs: %s is set by the chart; it is among the values, or in settings" $where .name) -}}
{{- end -}}
{{- $variables = append $variables .name -}}
{{- end -}}
{{- end -}}

{{- if $problems -}}
{{- fail (printf "\n\n%s\n" (join "\n" (uniq $problems))) -}}
{{- end -}}
{{- end -}}
