// swift-tools-version: 6.1
import PackageDescription

/// Settings of every Swift target of ours. Warnings become errors in `Packaging/test.sh`, for our targets only.
let strict = Context.environment["BERTH_WARNINGS_AS_ERRORS"] == "1"
let swift: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ] + (strict ? [.unsafeFlags(["-warnings-as-errors"])] : [])

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: swift)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: swift)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: swift)
}

let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")
let trees = Target.Dependency.product(name: "HashTreeCollections", package: "swift-collections")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let cryptoExtras = Target.Dependency.product(name: "CryptoExtras", package: "swift-crypto")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")
let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let niocore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioposix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let niohttp = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let niohttptypes = Target.Dependency.product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let httptypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "berth",
    products: [
        .executable(name: "berthd", targets: ["berthd"]),
        .executable(name: "berth", targets: ["berth"]),
    ],
    dependencies: [
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.100.0"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
    ],
    targets: [
        // The C library's calls that Swift's Glibc module lacks, and libyaml's event parser.
        .target(name: "CLinux"),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),
        // In place of Foundation's tables of languages, in a daemon that is linked statically.
        .target(name: "CNoLocaleData"),

        // Layer 0, nouns.
        module("Schedules"),
        module("WorkloadModel", ["Schedules"]),

        // Layer 1, pure.
        module("RecipeFile", ["WorkloadModel", "Schedules", "CYAML", crypto]),
        module("RecipeImport", ["Schedules"]),
        module("Ledger", ["WorkloadModel", "Schedules"]),
        module("Scheduling", ["Ledger", "WorkloadModel", "Schedules", "EngineAPI", heap, trees]),
        module("EngineAPI", ["WorkloadModel", "Schedules"]),
        module("ControlAPI", ["Scheduling", "Ledger", "WorkloadModel", "Schedules"]),

        // Layer 2, core.
        module("HostOS", ["Schedules", "CLinux"]),
        module("HistoryStore", ["WorkloadModel", "Schedules", "Ledger", "HostOS", grdb, crypto, cryptoExtras]),
        module("Supervision", ["Scheduling", "Ledger", "EngineAPI", "HistoryStore", "WorkloadModel", "Schedules", "HostOS", "CLinux", logging, deque]),

        // Layer 3, edges.
        module("EngineNative", ["EngineAPI", "WorkloadModel", "Schedules", "HostOS", "CLinux", subprocess, system, logging, crypto]),
        module("ServiceManager", ["CSystemd", logging]),
        module("Networks", ["EngineAPI", "WorkloadModel", "Schedules", "HostOS", "CLinux", subprocess, logging, deque]),
        module(
            "ControlServer",
            [
                "Ledger", "ControlAPI", "Supervision", "HistoryStore", "Scheduling", "EngineAPI", "RecipeFile", "WorkloadModel", "Schedules",
                "HostOS", "CLinux", hummingbird, niocore, nioposix, niohttptypes, httptypes, logging,
            ]),

        // Layer 4, shells.
        program(
            "berthd",
            [
                "ControlServer", "Supervision", "EngineNative", "Networks", "EngineAPI", "HistoryStore", "RecipeFile", "WorkloadModel",
                "Schedules", "Scheduling", "Ledger", "HostOS", "ControlAPI", "ServiceManager", "CLinux", "CNoLocaleData", arguments, logging,
                hummingbird,
            ]),
        program(
            "berth",
            [
                "ControlAPI", "Ledger", "RecipeFile", "RecipeImport", "Scheduling", "WorkloadModel", "Schedules", "HostOS", "CLinux", arguments,
                niocore, niohttp, nioposix,
            ]),

        .target(
            name: "TestKit",
            dependencies: ["EngineAPI", "Scheduling", "Supervision", "HostOS", "WorkloadModel", "Schedules"], path: "Tests/TestKit",
            swiftSettings: swift),
        // What Packaging/bench.sh measures inside of a process.
        .executableTarget(name: "ScheduleBenchmark", dependencies: ["Schedules", "HostOS"], path: "Tests/ScheduleBenchmark", swiftSettings: swift),
        tests("SchedulesTests", ["Schedules", "HostOS", "TestKit"]),
        tests("RecipeFileTests", ["RecipeFile", "Scheduling", "WorkloadModel", "Schedules", "HostOS", "TestKit"]),
        tests("RecipeImportTests", ["RecipeImport", "RecipeFile", "Scheduling", "WorkloadModel", "Schedules", "HostOS", "TestKit"]),
        tests("SchedulingTests", ["Scheduling", "Ledger", "EngineAPI", "WorkloadModel", "Schedules", "TestKit"]),
        tests("HistoryStoreTests", ["HistoryStore", "Ledger", "Scheduling", "WorkloadModel", "Schedules", "TestKit", grdb]),
        tests(
            "SupervisionTests",
            ["Supervision", "HistoryStore", "Ledger", "Scheduling", "EngineAPI", "WorkloadModel", "Schedules", "TestKit", logging, grdb]),
        tests("NetworksTests", ["Networks", "EngineAPI", "WorkloadModel", "Schedules", "TestKit"]),
        tests("EngineNativeTests", ["EngineNative", "EngineAPI", "WorkloadModel", "Schedules", "HostOS", "TestKit", logging]),
        tests("ServiceManagerTests", ["ServiceManager", logging]),
        tests("EndToEndTests", ["TestKit", "ControlAPI", "Schedules", "HostOS"]),
    ]
)
