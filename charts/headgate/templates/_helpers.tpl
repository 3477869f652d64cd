{{/* Names, labels and the list of what is to be installed. */}}

{{- define "headgate.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/*
The full name of the installation. Cut so that every name made from it fits, that of a StatefulSet's revision included; a
release may have dots in its name, a Service may not.
*/}}
{{- define "headgate.fullname" -}}
{{- $name := include "headgate.name" . -}}
{{- $whole := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $whole | replace "." "-" | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "headgate.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "headgate.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "headgate.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "headgate.image" -}}
{{- with .Values.image -}}
{{- with .registry }}{{ . }}/{{ end }}{{ .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* Labels that all objects of the release have. The chart's own go before commonLabels. */}}
{{- define "headgate.labels" -}}
{{- $own := include "headgate.selectorLabels" . | fromYaml -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- toYaml (merge $own (include "headgate.describingLabels" . | fromYaml)) -}}
{{- end -}}

{{/* Labels for everything, pods included, by which nothing is selected and which change with no more than the image. */}}
{{- define "headgate.describingLabels" -}}
{{- $own := dict "app.kubernetes.io/version" (.Values.image.tag | default .Chart.AppVersion | trunc 63) "app.kubernetes.io/part-of" "headgate" -}}
{{- toYaml (merge $own .Values.commonLabels) -}}
{{- end -}}

{{/* Labels by which all pods of the release are known. A shard is known by its component besides. */}}
{{- define "headgate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "headgate.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* The metadata of an object: dict "root" $, "name", and what else there is of "component", "labels", "annotations", "namespace". */}}
{{- define "headgate.metadata" -}}
{{- $labels := include "headgate.labels" .root | fromYaml -}}
{{- with .component }}{{ $_ := set $labels "app.kubernetes.io/component" . }}{{ end -}}
metadata:
  name: {{ .name }}
  {{- if not .clusterScoped }}
  namespace: {{ .namespace | default (include "headgate.namespace" .root) | quote }}
  {{- end }}
  labels:
    {{- toYaml (merge $labels (.labels | default dict)) | nindent 4 }}
  {{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* "true" on OpenShift. */}}
{{- define "headgate.openshift" -}}
{{- $enabled := toString .Values.openshift.enabled -}}
{{- if eq $enabled "auto" -}}
{{- if .Capabilities.APIVersions.Has "security.openshift.io/v1" }}true{{ end -}}
{{- else if eq $enabled "true" -}}true{{- end -}}
{{- end -}}

{{/* A label selector as text: it is one already, or it has matchLabels and matchExpressions. Empty for null. */}}
{{- define "headgate.selector" -}}
{{- if kindIs "map" . -}}
{{- $terms := list -}}
{{- range $key, $value := .matchLabels -}}
{{- $terms = append $terms (printf "%s=%s" $key (toString $value)) -}}
{{- end -}}
{{- range .matchExpressions -}}
{{- if eq .operator "In" -}}{{- $terms = append $terms (printf "%s in (%s)" .key (join "," .values)) -}}
{{- else if eq .operator "NotIn" -}}{{- $terms = append $terms (printf "%s notin (%s)" .key (join "," .values)) -}}
{{- else if eq .operator "Exists" -}}{{- $terms = append $terms .key -}}
{{- else -}}{{- $terms = append $terms (printf "!%s" .key) -}}
{{- end -}}
{{- end -}}
{{- join "," $terms -}}
{{- else -}}
{{- . | default "" -}}
{{- end -}}
{{- end -}}

{{/* A value as the text of an environment variable. JSON has large numbers and small fractions without an exponent. */}}
{{- define "headgate.text" -}}
{{- if kindIs "float64" . }}{{ toJson . }}{{ else }}{{ toString . }}{{ end -}}
{{- end -}}

{{/* Puts the map "with" over the map "into", key by key, also where a value is empty or null (mergeOverwrite passes those over). */}}
{{- define "headgate.override" -}}
{{- range $key, $value := .with -}}
{{- $old := get $.into $key -}}
{{- if and (kindIs "map" $value) (kindIs "map" $old) -}}
{{- include "headgate.override" (dict "into" $old "with" $value) -}}
{{- else -}}
{{- $_ := set $.into $key $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
What is to be installed, as a JSON array with one item for each Deployment, StatefulSet or DaemonSet:
  name        of its objects
  component   by which its pods are told from those of the other shards
  routerName  in the status of Routes; the router adds the index of an automatic shard by itself
  shard       the fields of `shard`, those of the entry of `shards` over them
  values      all values, those of the entry over them
  count       of automatic shards
  index       of this one among them: "0", "1", ..., "pod" where it is the pod's ordinal, "" without automatic shards
*/}}
{{- define "headgate.instances" -}}
{{- $all := list -}}
{{- $fullname := include "headgate.fullname" . -}}
{{- range $entry := .Values.shards | default (list dict) -}}
{{- $shard := deepCopy $.Values.shard -}}
{{- $values := omit (deepCopy $.Values) "shard" "shards" "global" "extraObjects" -}}
{{- range $key, $value := omit $entry "routerName" -}}
{{- include "headgate.override" (dict "into" (hasKey $shard $key | ternary $shard $values) "with" (dict $key $value)) -}}
{{- end -}}
{{- if and (eq $.Values.rbac.scope "namespace") (not $shard.namespace) -}}
{{- $_ := set $shard "namespace" (include "headgate.namespace" $) -}}
{{- end -}}
{{- $routerName := $entry.routerName | default $shard.name | default $fullname -}}
{{- $count := int $shard.hash.count -}}
{{- $indices := list "" -}}
{{- if not (kindIs "invalid" $shard.hash.index) -}}
{{- $indices = list (toString (int $shard.hash.index)) -}}
{{- else if gt $count 1 -}}
{{- $indices = eq $values.kind "Deployment" | ternary (until $count) (list "pod") -}}
{{- end -}}
{{- range $index := $indices -}}
{{- $suffix := "" -}}
{{- with $entry.name }}{{ $suffix = printf "-%s" . }}{{ end -}}
{{- if kindIs "int" $index }}{{ $suffix = printf "%s-%d" $suffix $index }}{{ end -}}
{{- $name := printf "%s%s" ($fullname | trunc (int (sub 52 (len $suffix))) | trimSuffix "-") $suffix -}}
{{- $all = append $all (dict "name" $name "component" (printf "router%s" $suffix) "routerName" $routerName "shard" $shard "values" $values "count" $count "index" (toString $index)) -}}
{{- end -}}
{{- end -}}
{{- $all | toJson -}}
{{- end -}}

{{/* "true" unless every shard serves a single namespace. */}}
{{- define "headgate.clusterWide" -}}
{{- $all := false -}}
{{- range include "headgate.instances" . | fromJsonArray -}}
{{- if not .shard.namespace }}{{ $all = true }}{{ end -}}
{{- end -}}
{{- if $all }}true{{ end -}}
{{- end -}}

{{/* Who may read metrics: `openshift` or `none`. The questions to the API server need a right that no Role gives. */}}
{{- define "headgate.metricsAuth" -}}
{{- .Values.metrics.auth | default (ternary "openshift" "none" (ne (include "headgate.clusterWide" .) "")) -}}
{{- end -}}

{{/* ServiceAccounts that may read metrics, as a JSON array. */}}
{{- define "headgate.metricsReaders" -}}
{{- if .Values.metrics.readers -}}
{{- .Values.metrics.readers | toJson -}}
{{- else if include "headgate.openshift" . -}}
{{- list (dict "namespace" "openshift-monitoring" "name" "prometheus-k8s") | toJson -}}
{{- else -}}
[]
{{- end -}}
{{- end -}}

{{/* Labels by which the pods of one shard are known: dict "root" $, "instance". */}}
{{- define "headgate.shardLabels" -}}
{{ include "headgate.selectorLabels" .root }}
app.kubernetes.io/component: {{ .instance.component }}
{{- end -}}

{{/* "true" where a ConfigMap is made for OpenShift's service CA. */}}
{{- define "headgate.openshiftServiceCA" -}}
{{- $wanted := toString .Values.destinationCA.openshiftServiceCA -}}
{{- if .Values.destinationCA.existingConfigMap -}}
{{- else if eq $wanted "auto" }}{{ include "headgate.openshift" . }}
{{- else if eq $wanted "true" }}true{{ end -}}
{{- end -}}

{{/* Name of the ConfigMap with the CA for pods, if there is one. */}}
{{- define "headgate.destinationCAConfigMap" -}}
{{- if include "headgate.openshiftServiceCA" . -}}
{{- include "headgate.fullname" . }}-service-ca
{{- else -}}
{{- .Values.destinationCA.existingConfigMap -}}
{{- end -}}
{{- end -}}
