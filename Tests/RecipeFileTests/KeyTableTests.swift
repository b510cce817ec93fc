import Foundation
import RecipeFile
import TestKit
import Testing

/// Every key of the Compose Specification (schema of July 2026) has its row, and the documentation has the table.
@Suite struct KeyTableTests {
    private static let specification: [(place: String, keys: String)] = [
        ("top level", "configs include models name networks secrets services version volumes"),
        (
            "service",
            """
            annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs container_name cpu_count cpu_percent cpu_period cpu_quota
            cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec depends_on deploy develop device_cgroup_rules devices dns dns_opt dns_search
            domainname entrypoint env_file environment expose extends external_links extra_hosts gpus group_add healthcheck hostname image init ipc isolation
            label_file labels links logging mac_address mem_limit mem_reservation mem_swappiness memswap_limit models network_mode networks oom_kill_disable
            oom_score_adj pid pids_limit platform ports post_start pre_start pre_stop privileged profiles provider pull_policy pull_refresh_after read_only
            restart runtime scale secrets security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits use_api_socket
            user userns_mode uts volumes volumes_from working_dir
            """
        ),
        (
            "service.build",
            """
            additional_contexts args cache_from cache_to context dockerfile dockerfile_inline entitlements extra_hosts isolation labels network no_cache
            no_cache_filter platforms privileged provenance pull sbom secrets shm_size ssh tags target ulimits
            """
        ), ("service.depends_on", "condition required restart"), ("service.ports", "app_protocol host_ip mode name protocol published target"),
        ("service.volumes", "bind consistency image read_only source target tmpfs type volume"),
        ("service.networks", "aliases driver_opts gw_priority interface_name ipv4_address ipv6_address link_local_ips mac_address priority"),
        ("service.logging", "driver options"),
        ("service.blkio_config", "device_read_bps device_read_iops device_write_bps device_write_iops weight weight_device"),
        ("service.credential_spec", "config file registry"), ("service.extends", "file service"), ("service.models", "endpoint_var model_var"),
        ("service.provider", "options type"), ("service.env_file", "format path required"), ("service.develop", "watch"),
        ("healthcheck", "disable interval retries start_interval start_period test timeout"),
        ("deployment", "endpoint_mode labels mode placement replicas resources restart_policy rollback_config update_config"),
        ("network", "attachable driver driver_opts enable_ipv4 enable_ipv6 external internal ipam labels name"),
        ("volume", "driver driver_opts external labels name"), ("secret", "driver driver_opts environment external file labels name template_driver"),
        ("config", "content environment external file labels name template_driver"), ("service_hook", "command environment privileged user working_dir"),
        ("pre_start_hook", "command environment image per_replica privileged user working_dir"), ("include", "env_file path project_directory"),
        ("model", "context_size model name runtime_flags"), ("deploy.resources", "limits reservations"),
        ("deploy.restart_policy", "condition delay max_attempts window"),
        ("deploy.update_config", "delay failure_action max_failure_ratio monitor order parallelism"),
        ("deploy.rollback_config", "delay failure_action max_failure_ratio monitor order parallelism"),
        ("deploy.placement", "constraints max_replicas_per_node preferences"), ("deploy.resources.limits", "cpus memory pids"),
        ("deploy.resources.reservations", "cpus devices generic_resources memory"), ("network.ipam", "config driver options"),
    ]

    @Test func everyKeyHasItsRow() {
        let rows = Dictionary(grouping: KeyTable.rows, by: \.place).mapValues { Set($0.map(\.key)) }
        for (place, keys) in Self.specification {
            let missing = keys.split(whereSeparator: \.isWhitespace).map(String.init).filter { rows[place]?.contains($0) != true }
            #expect(missing.isEmpty, "\(place): \(missing)")
        }
        let all = KeyTable.rows.map { "\($0.place) \($0.key)" }
        #expect(Set(all).count == all.count, "twice: \(Dictionary(grouping: all, by: \.self).filter { $0.value.count > 1 }.keys)")
        for row in KeyTable.rows where row.fate != .supported { #expect(!row.note.isEmpty, "\(row)") }
    }

    /// What the table says of a service's key, the reader says of a file.
    @Test func theReaderSaysWhatTheTableSays() {
        for row in KeyTable.rows where row.place == "service" {
            let result = RecipeReaderTests.read("name: t\nservices: { x: { image: nginx, \(row.key): null } }\n")
            let isRefused = result.diagnostics.contains { $0.message.hasPrefix("'\(row.key)' of service 'x' is ") }
            let isUnknown = result.diagnostics.contains { $0.message.hasPrefix("unknown key") }
            #expect(isRefused == (row.fate == .refused) && !isUnknown || row.key == "image", "\(row): \(result.diagnostics.map(\.message))")
        }
    }

    @Test func theDocumentationHasTheTable() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../Sources/RecipeFile/RecipeFile.docc/ComposeKeys.md")
        if ProcessInfo.processInfo.environment["BERTH_UPDATE_TRANSCRIPTS"] != nil { try KeyTable.markdown.write(to: file, atomically: true, encoding: .utf8) }
        #expect(try String(contentsOf: file, encoding: .utf8) == KeyTable.markdown)
    }
}
