// A plugin for clang-tidy: its checks walk through the declarations of this project's files alone.
// Without it they walk through all of LibTorch's headers again for every source, which takes most
// of the time.
#include <clang/AST/ASTConsumer.h>
#include <clang/AST/ASTContext.h>
#include <clang/Basic/SourceManager.h>
#include <clang/Frontend/CompilerInstance.h>
#include <clang/Frontend/FrontendPluginRegistry.h>

#include <memory>
#include <string>
#include <vector>

namespace {

class OwnCode : public clang::ASTConsumer {
 public:
  bool HandleTopLevelDecl(clang::DeclGroupRef group) override {
    for (clang::Decl* decl : group) {
      const clang::SourceManager& sources = decl->getASTContext().getSourceManager();
      // What comes from a precompiled header is LibTorch's, too.
      if (!decl->isFromASTFile() &&
          !sources.isInSystemHeader(sources.getExpansionLoc(decl->getLocation())))
        own_.push_back(decl);
    }
    return true;
  }
  void HandleTranslationUnit(clang::ASTContext& context) override {
    context.setTraversalScope(own_);
  }

 private:
  std::vector<clang::Decl*> own_;
};

class OwnCodeAction : public clang::PluginASTAction {
 protected:
  std::unique_ptr<clang::ASTConsumer> CreateASTConsumer(clang::CompilerInstance&,
                                                        llvm::StringRef) override {
    return std::make_unique<OwnCode>();
  }
  bool ParseArgs(const clang::CompilerInstance&, const std::vector<std::string>&) override {
    return true;
  }
  // Runs before the checks.
  ActionType getActionType() override { return AddBeforeMainAction; }
};

const clang::FrontendPluginRegistry::Add<OwnCodeAction> kRegistered(
    "own-code", "limits checks to the project's own declarations");

}  // namespace
