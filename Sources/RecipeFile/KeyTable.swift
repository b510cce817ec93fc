/// Every key of the Compose Specification, and what becomes of it: made from the lists that the reader itself goes by.
public enum KeyTable {
    /// What becomes of a key.
    public enum Fate: String, Sendable, CaseIterable {
        /// It means what it means in Compose.
        case supported
        /// It is taken, and means something else, or nothing, here.
        case mapped
        /// It is an error that says why.
        case refused
    }

    /// One key.
    public struct Row: Hashable, Sendable {
        /// Where it stands, such as `service.ports`.
        public let place: String
        /// The key.
        public let key: String
        /// What becomes of it.
        public let fate: Fate
        /// Why, or what it means instead; empty where there is nothing to say.
        public let note: String
    }

    /// All of them, by place and key.
    public static var rows: [Row] { groups.flatMap { $0 }.sorted { ($0.place, $0.key) < ($1.place, $1.key) } }

    private static let nothing = "means nothing on one host"
    private static let later = "not supported yet"

    private static func group<Key: RawRepresentable<String> & CaseIterable>(
        _ place: String, _ keys: Key.Type, mapped: [String: String] = [:], refused: [String: String] = [:]
    ) -> [Row] {
        let own = keys.allCases.map(\.rawValue).filter { refused[$0] == nil }.map { key in
            Row(place: place, key: key, fate: mapped[key] == nil ? .supported : .mapped, note: mapped[key] ?? "")
        }
        return own + refused.map { Row(place: place, key: $0.key, fate: .refused, note: $0.value) }
    }

    private static func refused(_ place: String, _ reason: String, _ keys: String...) -> [Row] {
        keys.map { Row(place: place, key: $0, fate: .refused, note: reason) }
    }

    private static let groups: [[Row]] = [
        group(
            "top level", RecipeReader.TopKey.self, mapped: ["version": "obsolete: it has no meaning, in Compose as here"],
            refused: ComposeKeys.topLevel),
        [Row(place: "top level", key: "include", fate: .supported, note: "")],
        group(
            "service", ContainerKey.self,
            mapped: [
                "attach": "Berth keeps logs and attaches to none", "develop": "Berth watches no sources",
                "tty": "a terminal of its own; it is hung up where the shim of the container is killed",
                "runtime": "runc, for which Berth's own stands, and nvidia, as 'gpus'", "scale": "1 only", "userns_mode": "host only: there is no other",
                "cgroup": "private only", "security_opt": "no-new-privileges, which is always on, seccomp=socketcall, and what turns AppArmor or SELinux off",
                "logging": "json-file and local, for which Berth's own logs stand; journald, beside them; none, with a warning that the log stays",
                "gpus": "taken by validate; no host gives any yet",
                "pid": "its own, host, or service:NAME", "ipc": "its own, host, or service:NAME",
                "expose": "checked: containers of one network reach all of each other's ports",
                "mac_address": "as in 'networks'", "annotations": "for OCI runtimes", "mem_swappiness": "version 2 of control groups has no such setting",
                "oom_kill_disable": "false only", "isolation": "default only",
            ], refused: ComposeKeys.container.filter { $0.key != "extends" }),
        group("service", ServiceKey.self), [Row(place: "service", key: "extends", fate: .supported, note: "of services; not of jobs")],
        group("job", JobKey.self),
        refused(
            "service.build", later, "additional_contexts", "args", "cache_from", "cache_to", "context", "dockerfile", "dockerfile_inline", "entitlements",
            "extra_hosts", "isolation", "labels", "network", "no_cache", "no_cache_filter", "platforms", "privileged", "provenance", "pull", "sbom", "secrets",
            "shm_size", "ssh", "tags", "target", "ulimits"),
        group("service.depends_on", RecipeReader.DependencyKey.self),
        group(
            "service.ports", RecipeReader.PortKey.self, mapped: ["mode": nothing, "name": "kept for people", "app_protocol": "kept for people"]),
        group(
            "service.volumes", RecipeReader.MountKey.self, mapped: ["consistency": "for macOS only"], refused: ["image": later]),
        group(
            "service.volumes.bind", RecipeReader.BindKey.self,
            mapped: ["selinux": "Berth sets no labels", "propagation": "private; slave as private, with a warning"]),
        group("service.volumes.volume", RecipeReader.VolumeOptionKey.self), group("service.volumes.tmpfs", RecipeReader.MountTmpfsKey.self),
        group(
            "service.networks", RecipeReader.AttachmentKey.self,
            refused: ["link_local_ips": "not supported", "driver_opts": "not supported"]),
        group("service.logging", RecipeReader.LoggingKey.self), group("service.devices", RecipeReader.DeviceKey.self),
        group("service.blkio_config", RecipeReader.BlockKey.self),
        refused("service.credential_spec", "a setting of Windows", "config", "file", "registry"),
        group("service.extends", RecipeReader.ExtendsKey.self), refused("service.models", later, "endpoint_var", "model_var"),
        refused("service.provider", later, "options", "type"), group("service.env_file", RecipeReader.FileKey.self),
        [Row(place: "service.develop", key: "watch", fate: .mapped, note: "Berth watches no sources")],
        group("service.secrets and configs", RecipeReader.GivenUseKey.self), group("service.ulimits", RecipeReader.UserLimitKey.self),
        group("service.storage_opt", RecipeReader.StorageKey.self), group("healthcheck", RecipeReader.HealthKey.self, mapped: ["on_unhealthy": "Berth's own"]),
        group(
            "deployment", RecipeReader.DeployKey.self,
            mapped: [
                "endpoint_mode": nothing, "placement": nothing, "update_config": nothing, "rollback_config": nothing, "labels": nothing,
                "replicas": "1 only", "mode": "replicated and global, which are the same for one",
                "restart_policy": "counts where there is no 'restart'",
            ]),
        group("deploy.resources", RecipeReader.ResourcesKey.self),
        group("deploy.resources.limits", RecipeReader.LimitKey.self),
        group(
            "deploy.resources.reservations", RecipeReader.ReservationKey.self,
            mapped: [
                "cpus": "a share of the processors when they are short", "memory": "what the kernel takes from others first", "generic_resources": nothing,
                "devices": "taken by validate; no host gives any yet",
            ]),
        group("deploy.resources.reservations.devices", RecipeReader.ReservedDeviceKey.self),
        group("deploy.restart_policy", RecipeReader.RestartPolicyKey.self, mapped: ["delay": "Berth's own pauses", "window": "Berth's own pauses"]),
        ["deploy.update_config", "deploy.rollback_config"].flatMap { place in
            ["delay", "failure_action", "max_failure_ratio", "monitor", "order", "parallelism"].map { Row(place: place, key: $0, fate: .mapped, note: nothing) }
        }, ["constraints", "max_replicas_per_node", "preferences"].map { Row(place: "deploy.placement", key: $0, fate: .mapped, note: nothing) },
        group(
            "network", RecipeReader.NetworkKey.self,
            mapped: [
                "attachable": nothing,
                "driver": "bridge, macvlan and ipvlan; the last two without a 'parent' as an internal bridge, and names in /etc/hosts as they are at a start",
            ]),
        group("network.ipam", RecipeReader.AddressingKey.self),
        group(
            "network.ipam.config", RecipeReader.SubnetKey.self, refused: ["aux_addresses": "leave room by 'ip_range'"]),
        group("volume", RecipeReader.VolumeKey.self, mapped: ["driver": "local only", "driver_opts": "a folder of the host, or memory"]),
        ["secret", "config"].flatMap { place in
            group(
                place, RecipeReader.GivenFileKey.self,
                refused: [
                    "external": "Berth keeps no secrets of its own", "driver": "Berth keeps no secrets of its own", "driver_opts": "not supported",
                    "template_driver": "not supported",
                ])
        }, refused("service_hook", later, "command", "environment", "privileged", "user", "working_dir"),
        refused("pre_start_hook", later, "command", "environment", "image", "per_replica", "privileged", "user", "working_dir"),
        group("include", RecipeReader.IncludeKey.self), refused("model", later, "context_size", "model", "name", "runtime_flags"),
    ]

    /// The table for the documentation.
    public static var markdown: String {
        var text = """
            # Keys of compose files

            What becomes of each key of the Compose Specification, from the lists that Berth's own reader goes by. *Mapped* keys are taken, and mean
            something else here, or nothing. *Refused* keys are errors that say so. Keys that begin with `x-` are free.

            | where | key | | |
            |---|---|---|---|

            """
        for row in rows { text += "| \(row.place) | `\(row.key)` | \(row.fate.rawValue) | \(row.note) |\n" }
        return text
    }
}
