import Ledger
import Scheduling
import Schedules
import TestKit
import Testing
import WorkloadModel

@testable import Supervision

/// Who follows the history hears of everything, in order, or is told that it did not.
@Suite struct ChangeFeedTests {
    typealias Fixture = SupervisorTests.Fixture

    /// What a service goes through is told in order, and only what is on disk; who comes back goes on where it stood.
    @Test func changesComeInOrderOnceTheyAreDurable() async throws {
        let fixture = try Fixture()
        let daemon = try await fixture.daemon()
        let follower = await daemon.follow()
        let beginning = try #require(await daemon.changes(after: nil, for: follower))
        #expect(beginning.isReset && beginning.changes.isEmpty)
        await daemon.take(.apply(Make.recipe(Make.service("web", .always)), explicit: true, actor: "t"))
        try await fixture.eventually("it runs") { !fixture.engine.alive(of: "web").isEmpty }
        let run = fixture.engine.alive(of: "web")[0]
        fixture.engine.end(run, .exited(code: 3))
        var told: [Change] = []
        var cursor = beginning.cursor
        while told.last(where: { $0.subject == .workload })?.state != "backoff" {
            let page = try #require(await daemon.changes(after: cursor, for: follower))
            #expect(!page.isReset && !page.changes.isEmpty)
            for change in page.changes where change.subject == .run && change.state == "failed" {
                #expect(try await fixture.runs("web").first?.outcome == "failed", "it was told before it was on disk")
            }
            told += page.changes
            cursor = page.cursor
        }
        let states = told.filter { $0.subject == .run }
        #expect(states.map(\.state) == ["starting", "running", "failed"], "\(told)")
        #expect(states.allSatisfy { $0.name == "web" && $0.project == "shop" && $0.slot == 0 && $0.run_id == run.description }, "\(states)")
        #expect(told.filter { $0.subject == .workload }.map(\.state) == ["starting", "running", "backoff"], "\(told)")
        // From the middle on, it is the same.
        let middle = FeedCursor(feed: beginning.cursor.feed, position: beginning.cursor.position + 2)
        #expect(await daemon.changes(after: middle, for: follower)?.changes == Array(told.dropFirst(2)))
        await daemon.unfollow(follower)
        #expect(await daemon.changes(after: middle, for: follower) == nil)
        await daemon.shutDown()
    }

    /// The next daemon knows whose the runs are that go on, and that a cursor of the one before is not its own.
    @Test func anotherDaemonIsAnotherFeed() async throws {
        let fixture = try Fixture()
        let recipe = Make.recipe(Make.service("web", .always))
        let first = try await fixture.daemon()
        await first.take(.apply(recipe, explicit: true, actor: "t"))
        try await fixture.eventually("it runs") { try await fixture.runs("web").first?.state == "running" }
        let follower = await first.follow()
        let old = try #require(await first.changes(after: nil, for: follower)).cursor
        await first.shutDown()
        #expect(await first.changes(after: old, for: follower) == nil, "who follows is let go at the end")
        fixture.clock.advance(by: .seconds(1))
        let second = try await fixture.daemon(recipes: [recipe])
        let another = await second.follow()
        let page = try #require(await second.changes(after: old, for: another))
        #expect(page.isReset)
        fixture.engine.end(fixture.engine.alive(of: "web")[0], .exited(code: 0))
        var told: [Change] = []
        var cursor = page.cursor
        while !told.contains(where: { $0.subject == .run && $0.state == "succeeded" }) {
            let next = try #require(await second.changes(after: cursor, for: another))
            told += next.changes
            cursor = next.cursor
        }
        #expect(told.filter { $0.subject == .run && $0.state == "succeeded" }.map(\.name) == ["web"])
        await second.shutDown()
    }

    /// Nothing is kept of who follows and leaves, whether it waits or not, and a task that is cancelled waits no more.
    @Test func whoLeavesIsForgotten() async throws {
        let fixture = try Fixture()
        let daemon = try await fixture.daemon()
        var waiting: [(Int, Task<FeedPage?, Never>)] = []
        for _ in 0..<100 {
            let follower = await daemon.follow()
            let now = try #require(await daemon.changes(after: nil, for: follower)).cursor
            waiting.append((follower, Task { await daemon.changes(after: now, for: follower) }))
        }
        #expect(await daemon.feed.followerCount == 100)
        for (follower, task) in waiting.dropFirst(50) {
            task.cancel()
            #expect(await task.value == nil)
            await daemon.unfollow(follower)
        }
        for (follower, task) in waiting.prefix(50) {
            await daemon.unfollow(follower)
            #expect(await task.value == nil)
        }
        #expect(await daemon.feed.followerCount == 0)
        await daemon.shutDown()
    }

    /// The list has an end. Each place of it, and each that is none, gives what comes after it or a reset; seeds find the lengths.
    @Test(arguments: 0..<50 as Range<UInt64>) func noChangeIsPassedOverInSilence(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        let most = 1 + Int(dice.next() % 40)
        var feed = ChangeFeed(feed: 7, most: most)
        var all: [Change] = []
        for number in 0..<Int(dice.next() % 200) {
            let change = Change.recipe(try ProjectName("p\(number)"), isRemoved: false)
            feed.append(change)
            all.append(change)
        }
        for position in -1...Int64(all.count) + 1 {
            let page = feed.page(after: FeedCursor(feed: 7, position: position))
            switch position {
            case Int64(all.count): #expect(page == nil)
            case Int64(max(0, all.count - most))..<Int64(all.count):
                let page = try #require(page)
                #expect(page.isReset == false && page.changes == Array(all[Int(position)...]) && page.cursor.position == Int64(all.count))
            default: #expect(page?.isReset == true && page?.changes.isEmpty == true && page?.cursor == feed.cursor)
            }
        }
        #expect(feed.page(after: FeedCursor(feed: 8, position: 0))?.isReset == true)
    }

    /// Who is far behind gets a page after the other.
    @Test func aLongWayIsToldInPages() throws {
        var feed = ChangeFeed(feed: 7)
        for number in 0..<2500 { feed.append(Change.recipe(try ProjectName("p\(number)"), isRemoved: number % 2 == 0)) }
        var told: [String?] = []
        var cursor = FeedCursor(feed: 7, position: 0)
        while let page = feed.page(after: cursor) {
            #expect(!page.isReset && page.changes.count == min(1000, 2500 - told.count))
            told += page.changes.map(\.project)
            cursor = page.cursor
        }
        #expect(told == (0..<2500).map { "p\($0)" } && cursor == feed.cursor)
    }

    @Test func cursorsAreTexts() {
        for cursor in [FeedCursor(feed: 0, position: 0), FeedCursor(feed: 1_767_225_600_000, position: 255), FeedCursor(feed: .max, position: .max)] {
            #expect(FeedCursor(cursor.description) == cursor)
        }
        for text in ["", "-", "1", "1-", "-1", "1-2-3", "x-1", "1-x", "1--1", "+1-1", "1-+1", "1-1 "] { #expect(FeedCursor(text) == nil, "\(text)") }
    }
}
