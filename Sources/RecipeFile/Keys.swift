/// What a service and a job have in common.
enum ContainerKey: String, CaseIterable {
    case image, rootfs, command, entrypoint, environment, envFile = "env_file", workingDir = "working_dir", user, hostname, volumes, tmpfs
    case readOnly = "read_only", initProcess = "init", stopSignal = "stop_signal", stopGracePeriod = "stop_grace_period", capAdd = "cap_add"
    case capDrop = "cap_drop", privileged, networkMode = "network_mode", deploy, memLimit = "mem_limit", cpus, pidsLimit = "pids_limit", ulimits
    case shmSize = "shm_size", securityOpt = "security_opt", storageOpt = "storage_opt", networks, ports, expose, links, dns, dnsSearch = "dns_search"
    case dnsOpt = "dns_opt", extraHosts = "extra_hosts", domainname, macAddress = "mac_address", pullPolicy = "pull_policy"
    case platform, containerName = "container_name", labels, logging, profiles, healthcheck, dependsOn = "depends_on"
    case groupAdd = "group_add", sysctls, oomScoreAdj = "oom_score_adj", cpuset, cpuShares = "cpu_shares", cpuQuota = "cpu_quota"
    case cpuPeriod = "cpu_period", memReservation = "mem_reservation", memswapLimit = "memswap_limit", pid, ipc, uts, cgroup
    case usernsMode = "userns_mode", stdinOpen = "stdin_open", tty, devices, deviceCgroupRules = "device_cgroup_rules", gpus, scale, attach, develop
    case runtime, secrets, configs, annotations, memSwappiness = "mem_swappiness", oomKillDisable = "oom_kill_disable", isolation
    case blkioConfig = "blkio_config", labelFile = "label_file"
}

enum ServiceKey: String, CaseIterable {
    case restart
}

enum JobKey: String, CaseIterable {
    case schedule, overlap, timeout, retries, missed, successCodes = "success_codes", deadline, onLost = "on_lost"
    case pool, after, keep
}

/// Known keys that are refused, and why. The Compose Specification's "Services" page is the source of the names.
enum ComposeKeys {
    private static let later = "not supported yet"

    static let topLevel: [String: String] = [
        "models": later
    ]

    static let container: [String: String] = {
        var reasons: [String: String] = [
            "external_links": "obsolete: containers of one network find each other by name; put both on one by 'networks'",
            "credential_spec": "not supported: it is a setting of Windows",
            "cgroup_parent": "not supported: Berth keeps its own cgroups",
            "extends": "not supported here: as in Compose, it is for services",
        ]
        for key in ["cpu_count", "cpu_percent"] { reasons[key] = "not supported: it is a setting of Windows" }
        for key in ["cpu_rt_period", "cpu_rt_runtime"] { reasons[key] = "not supported: control groups of version 2 have no such limit" }
        for key in [
            "build", "models", "post_start", "pre_start", "pre_stop", "provider", "pull_refresh_after",
            "use_api_socket", "volumes_from",
        ] { reasons[key] = later }
        return reasons
    }()
}
