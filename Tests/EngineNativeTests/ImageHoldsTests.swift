import Testing
import WorkloadModel

@testable import EngineNative

/// What keeps an image, and what does not.
@Suite struct ImageHoldsTests {
    private static let run = RunID("0000000000000001")!

    @Test func anImageStaysWhileSomethingNeedsIt() {
        var holds = ImageHolds()
        func removes(_ image: String) -> Bool { holds.beginRemoval(of: image) }
        func arrives() -> Bool { holds.beginArrival() }
        #expect(removes("a"))
        #expect(!arrives() && holds.isLeaving("a"))
        holds.endRemoval(of: "a")
        // One that is on its way may be any.
        #expect(arrives() && !removes("b"))
        holds.endArrival(of: "a")
        #expect(removes("b") && !removes("a"))
        holds.endRemoval(of: "b")
        #expect(arrives())
        holds.endArrival(of: "a")
        holds.unpin("a")
        #expect(!removes("a"), "two recipes were made ready with it")
        holds.unpin("a")
        holds.unpin("a")
        #expect(removes("a"))
        holds.endRemoval(of: "a")
        #expect(arrives())
        holds.endArrival(of: nil)
        holds.hold("a", for: Self.run)
        #expect(!removes("a") && removes("b"))
        holds.endRemoval(of: "b")
        holds.hold("", for: Self.run)
        #expect(removes("a"))
        holds.endRemoval(of: "a")
        // Of a run that an earlier release started, it is not known.
        holds.hold(nil, for: Self.run)
        #expect(!removes("a"))
        holds.drop(Self.run)
        #expect(removes("a"))
    }
}
